"""Real servers of the network for a test's lifetime: Consul, Envoy, Prometheus, RabbitMQ."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tandemkit.core.environment import Environment
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import demand, fetch, free_ports, short_folder

# Debian's wrapper in /usr/sbin insists on the user rabbitmq and on its own folders.
_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


@dataclass(frozen=True, slots=True)
class HttpServer:
    """A server with its HTTP address, and where it writes its log."""

    url: str
    log_path: Path


@dataclass(frozen=True, slots=True)
class RabbitmqServer:
    """A broker with its management API; user and password are `guest`."""

    amqp_port: int
    management: HttpServer

    async def ask(self, path: str, *, method: str = "GET", body: bytes | None = None) -> bytes:
        """The answer of the management API below /api/."""
        secret = base64.b64encode(b"guest:guest").decode()
        headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/json"}
        url = f"{self.management.url}/api/{path}"
        return await fetch(url, method=method, body=body, headers=headers)

    async def answers(self) -> None:
        """Raises OSError while it does not."""
        await self.ask("overview")


@asynccontextmanager
async def consul_agent() -> AsyncIterator[HttpServer]:
    """A Consul server on its own, with its UI, that keeps nothing on disk."""
    program = demand("consul")["consul"]
    http, server, serf = free_ports(3)
    with short_folder() as folder:
        found = HttpServer(f"http://127.0.0.1:{http}", folder / "log")
        ports = {"http": http, "server": server, "serf-lan": serf}
        off = ("serf-wan", "dns", "grpc", "grpc-tls")
        listen = [f"-{name}-port={port}" for name, port in ports.items()]
        listen += [f"-{name}-port=-1" for name in off]
        argv = (str(program), "agent", "-dev", "-ui", "-bind=127.0.0.1", "-node=test", *listen)
        command = Command((*argv, "-disable-host-node-id"), found.log_path, cwd=folder)

        async def ready() -> None:
            if await fetch(f"{found.url}/v1/status/leader") in {b'""', b""}:
                raise ConnectionError

        async with supervised_process(command, ready=ready):
            yield found


@asynccontextmanager
async def envoy_server(static_resources: str = "{}") -> AsyncIterator[HttpServer]:
    """Envoy with these resources, as YAML or JSON; `url` is its admin interface."""
    program = demand("envoy")["envoy"]
    with short_folder() as folder:
        (folder / "envoy.yaml").write_text(
            "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}\n"
            f"static_resources: {static_resources}\n"
        )
        admin = folder / "admin"
        argv = (str(program), "-c", str(folder / "envoy.yaml"), "--admin-address-path", str(admin))
        # Without its own id it shares memory with every other Envoy of the machine.
        alone = ("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning")

        async def ready() -> None:
            await fetch(f"http://{admin.read_text()}/ready")

        command = Command((*argv, *alone), folder / "log")
        async with supervised_process(command, ready=ready):
            yield HttpServer(f"http://{admin.read_text()}", folder / "log")


@asynccontextmanager
async def prometheus_server(config: str = "{}") -> AsyncIterator[HttpServer]:
    """Prometheus with this configuration, as YAML."""
    program = demand("prometheus")["prometheus"]
    (port,) = free_ports(1)
    with short_folder() as folder:
        (folder / "prometheus.yml").write_text(config)
        found = HttpServer(f"http://127.0.0.1:{port}", folder / "log")
        files = (f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/state")
        argv = (str(program), *files, f"--web.listen-address=127.0.0.1:{port}")

        async def ready() -> None:
            await fetch(f"{found.url}/-/ready")

        async with supervised_process(Command(argv, found.log_path), ready=ready):
            yield found


@dataclass(frozen=True, slots=True)
class RabbitmqCommands:
    """A broker and its own port mapper, and what they are once they run."""

    found: RabbitmqServer
    mapper: Command
    broker: Command


def rabbitmq_commands(folder: Path) -> RabbitmqCommands:
    """Below `folder`, so that nothing of it stays or meets another one. Skips where RabbitMQ is
    absent.
    """
    programs = demand("rabbitmq")
    amqp, distribution, mapper, management = free_ports(4)
    variables = _rabbitmq_variables(folder, (amqp, distribution, mapper, management))
    log = folder / "log"
    epmd = (str(programs["epmd"]), "-port", str(mapper), "-address", "127.0.0.1")
    return RabbitmqCommands(
        RabbitmqServer(amqp, HttpServer(f"http://127.0.0.1:{management}", log)),
        Command(epmd, folder / "epmd.log", folder, variables),
        # Asked to end it takes longer than a test has patience, and nothing of it is kept.
        Command((str(_RABBITMQ),), log, folder, variables, grace_s=0.5),
    )


@asynccontextmanager
async def rabbitmq_server() -> AsyncIterator[RabbitmqServer]:
    """RabbitMQ for as long as the block."""
    with short_folder() as folder:
        commands = rabbitmq_commands(folder)
        async with (
            supervised_process(commands.mapper),
            supervised_process(commands.broker, ready=commands.found.answers),
        ):
            yield commands.found


def _rabbitmq_variables(folder: Path, ports: tuple[int, int, int, int]) -> dict[str, str]:
    amqp, distribution, mapper, management = ports
    (folder / "plugins").write_text("[rabbitmq_management].\n")
    (folder / "rabbitmq.conf").write_text(
        f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\n"
    )
    # By itself it waits three minutes before it moves again what a kill kept from moving.
    (folder / "advanced.config").write_text(
        "[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 3000}]}].\n"
    )
    return {
        **Environment.read().variables,
        "HOME": str(folder),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(mapper),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_MNESIA_BASE": str(folder / "state"),
        "RABBITMQ_NODENAME": f"tandem{amqp}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(amqp),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }
