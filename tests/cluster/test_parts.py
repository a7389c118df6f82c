"""Each real part really works: it does the thing that later tests will ask of it."""

import json
import subprocess
from pathlib import Path

import nats as nats_client
import psycopg
import pytest
import redis as redis_client

from tandemkit.cli.parts import PARTS
from tandemkit.core.environment import EVERY_PART, EVERY_SLOW_PART, Environment
from tandemkit.supervise.processes import Command, run_process
from tandemkit.testing.moved_clock import moved_clock
from tandemkit.testing.parts import demand, fetch
from tandemkit.testing.parts_language import llama_cpp_server
from tandemkit.testing.parts_network import HttpServer, RabbitmqServer
from tandemkit.testing.parts_storage import NatsServer, PostgresServer, RedisServer
from tandemkit.testing.scripted_model import Script, write_model
from tests.cluster.eventually import eventually

pytestmark = pytest.mark.cluster
SCRIPT = "The quick brown fox jumps over the lazy dog."


def output_of(*argv: str | Path, told: str | None = None) -> str:
    done = subprocess.run(argv, input=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


async def test_redis_answers(redis: RedisServer) -> None:
    """A client of the real Redis library reads back what it wrote."""
    with redis_client.Redis(unix_socket_path=str(redis.socket)) as client:
        client.set("key", "value")
        assert client.get("key") == b"value"


async def test_postgres_orders_by_distance(postgres: PostgresServer) -> None:
    """The pgvector extension is there and finds the nearest vector."""
    with psycopg.connect(postgres.dsn, autocommit=True) as session:
        session.execute("create extension vector")
        session.execute("create table point (name text, place vector(2))")
        session.execute("insert into point values ('far', '[9,9]'), ('near', '[1,1]')")
        nearest = session.execute("select name from point order by place <-> '[0,0]' limit 1")
        assert nearest.fetchone() == ("near",)


async def test_nats_keeps_what_was_published(nats: NatsServer) -> None:
    """A JetStream consumer that comes later reads the message."""
    client = await nats_client.connect(nats.url)
    try:
        stream = client.jetstream()
        await stream.add_stream(name="events", subjects=["events.*"])
        await stream.publish("events.first", b"payload")
        consumer = await stream.pull_subscribe("events.*", durable="reader")
        (message,) = await consumer.fetch(1, timeout=5)
        assert message.data == b"payload"
    finally:
        await client.close()


async def test_llama_cpp_says_its_script(tmp_path: Path) -> None:
    """The server of llama.cpp loads a model that a test wrote, and says what that says."""
    model = write_model(tmp_path / "model.gguf", Script(SCRIPT))
    asked = {"messages": [{"role": "user", "content": "Well?"}]}
    async with llama_cpp_server(model) as server:
        body = json.dumps(asked).encode()
        answer = await fetch(f"{server.url}/chat/completions", method="POST", body=body)
    assert json.loads(answer)["choices"][0]["message"]["content"] == SCRIPT


async def test_envoy_is_live(envoy: HttpServer) -> None:
    """Envoy says that it serves, and in which version."""
    told = json.loads(await fetch(f"{envoy.url}/server_info"))
    assert told["state"] == "LIVE"


async def test_consul_finds_a_registered_service(consul: HttpServer) -> None:
    """A registered service is healthy once its check has passed, and the UI is served."""
    check = {"http": f"{consul.url}/v1/status/leader", "interval": "1s"}
    body = json.dumps({"name": "utility-files", "port": 1, "check": check}).encode()
    await fetch(f"{consul.url}/v1/agent/service/register", method="PUT", body=body)

    async def healthy() -> list[str]:
        found = await fetch(f"{consul.url}/v1/health/service/utility-files?passing")
        return [one["Service"]["Service"] for one in json.loads(found)]

    assert await eventually(healthy) == ["utility-files"]
    assert b"Consul" in await fetch(f"{consul.url}/ui/")


def test_grpcurl_runs() -> None:
    """Grpcurl starts and says who it is."""
    assert "grpcurl" in output_of(demand("grpcurl")["grpcurl"], "-version")


async def test_prometheus_answers_a_query(prometheus: HttpServer) -> None:
    """A query is evaluated."""
    told = json.loads(await fetch(f"{prometheus.url}/api/v1/query?query=vector(42)"))
    assert told["data"]["result"][0]["value"][1] == "42"


async def test_rabbitmq_delivers(rabbitmq: RabbitmqServer) -> None:
    """A message published to a queue is read from it."""
    await rabbitmq.ask("queues/%2F/work", method="PUT", body=b"{}")
    message = {"routing_key": "work", "payload": "job", "payload_encoding": "string"}
    published = await rabbitmq.ask(
        "exchanges/%2F/amq.default/publish",
        method="POST",
        body=json.dumps({**message, "properties": {}}).encode(),
    )
    assert json.loads(published) == {"routed": True}
    wanted = {"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto"}
    got = await rabbitmq.ask("queues/%2F/work/get", method="POST", body=json.dumps(wanted).encode())
    assert [one["payload"] for one in json.loads(got)] == ["job"]


async def test_chromium_runs_a_page(tmp_path: Path) -> None:
    """A page's script has run when its DOM is printed, and nothing is asked of the network."""
    chromium = demand("chromium")["chromium"]
    page = tmp_path / "page.html"
    page.write_text("<p id=p></p><script>p.textContent = 6 * 7</script>")
    quiet = ("background-networking", "component-update", "sync", "gpu", "dev-shm-usage")
    flags = ("--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{one}" for one in quiet))
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    command = Command(
        (str(chromium), *flags, profile, "--dump-dom", page.as_uri()), tmp_path / "log"
    )
    assert await run_process(command) == 0
    assert '<p id="p">42</p>' in command.log_path.read_text()


def test_wireguard_makes_keys() -> None:
    """A private key gives a public one of the same length, which is another key."""
    wg = demand("wireguard")["wg"]
    private = output_of(wg, "genkey")
    public = output_of(wg, "pubkey", told=private)
    assert len(public) == len(private)
    assert public != private


def test_nftables_drops_in_a_namespace_of_its_own() -> None:
    """A rule set is loaded and listed in a fresh network namespace, and ours stays as it was."""
    nft = demand("nftables")["nft"]
    alone = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c")
    rules = "table inet t { chain c { type filter hook input priority 0; tcp dport 1 drop; }; }"
    listed = output_of(*alone, f"{nft} -f - && {nft} list ruleset", told=rules)
    assert "tcp dport 1 drop" in listed


def test_faketime_moves_the_wall_clock(tmp_path: Path) -> None:
    """A program sees the time that it is given, also where a process of its number was killed and
    left its semaphore behind.
    """
    offset = tmp_path / "offset"
    offset.write_text("-365d")
    # The second program of a process finds the semaphore of the first.
    there = "touch /dev/shm/sem.faketime_sem_$$ && echo $$ && exec date +%Y"
    moving = [f"{name}={value}" for name, value in moved_clock(offset).items()]
    number, moved = output_of("env", *moving, "sh", "-c", there).split()
    now = output_of("date", "+%Y")
    assert int(moved) == int(now) - 1
    for left in Path("/dev/shm").glob(f"*faketime_???_{number}"):
        left.unlink()


def test_demanded_parts_are_here() -> None:
    """What TANDEM_REQUIRE names is found, so that no misspelt name demands nothing."""
    required = Environment.read().required
    slow = {part.name for part in PARTS if part.slow and EVERY_SLOW_PART in required}
    for part in (required | slow) - {EVERY_PART, EVERY_SLOW_PART}:
        demand(part)
