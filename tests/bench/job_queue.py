"""Durable jobs a second on each backend: the broker used bare, through the kit's queue, and as jobs
whose call, to an agent of the same host, does nothing. From the first that is published to the last
that is acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import aio_pika
import grpc
import nats

from services.tasks.job.agent import AGENT
from tandem.platform.v1 import system_service_pb2 as system
from tandem.tasks.config.v1 import job_pb2 as cfg
from tandem.tasks.v1 import job_service_pb2 as pb
from tandem.tasks.v1 import job_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.storage.queue.places import NatsPlace, Place, RabbitmqPlace, opened
from tandemkit.testing.agents import fake_agent, serving
from tandemkit.testing.parts_queues import nats_broker, rabbitmq_broker

AT_ONCE, PREFETCH, WORKERS = 64, 64, 32
CONTENT = b"x" * 64
_CLOCK = SystemClock()
_METHOD = "/tandem.platform.v1.SystemService/ListSystem"
_NAMES = count()

Row = dict[str, float | str]
Publish = Callable[[int], Awaitable[object]]
# Settles one message, or all that were taken.
Take = Callable[[], Awaitable[object]]
Ways = tuple[Publish, Take, Take]


@dataclass(frozen=True, slots=True)
class Backend:
    """`bare` yields how its own client publishes one and takes one."""

    name: str
    place: Place
    settings: cfg.JobSettings
    bare: Callable[[], Any]


async def nothing() -> None:
    """All that was taken is settled."""


async def per_second(number: int, ways: Ways) -> float:
    """Publishers and consumers at the same time."""
    publish, take, finish = ways
    began_s, left, due = _CLOCK.monotonic_s(), iter(range(number)), iter(range(number))

    async def some() -> None:
        for one in left:
            await publish(one)

    async def taken() -> None:
        for _ in due:
            await take()

    published = (some() for _ in range(AT_ONCE))
    await asyncio.gather(*published, *(taken() for _ in range(WORKERS)))
    await finish()
    return number / (_CLOCK.monotonic_s() - began_s)


@asynccontextmanager
async def bare_sqlite(folder: Path) -> AsyncIterator[Ways]:
    """A commit for each that comes and each that goes, as one writes it without thinking."""
    database = sqlite3.connect(folder / f"bare-{next(_NAMES)}", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE bare (number INTEGER PRIMARY KEY, content BLOB)")

    async def publish(_number: int) -> None:
        database.execute("INSERT INTO bare (content) VALUES (?)", (CONTENT,))
        await _CLOCK.sleep(0)

    async def take() -> None:
        first = "DELETE FROM bare WHERE number = (SELECT min(number) FROM bare) RETURNING content"
        while not database.execute(first).fetchall():
            await _CLOCK.sleep(0)

    yield publish, take, nothing
    database.close()


@asynccontextmanager
async def bare_nats(url: str) -> AsyncIterator[Ways]:
    name = f"bare-{next(_NAMES)}"
    client = await nats.connect(url)
    stream = client.jetstream()
    kept = nats.js.api.RetentionPolicy.WORK_QUEUE
    await stream.add_stream(name=name, subjects=[name], retention=kept)
    subscription = await stream.pull_subscribe(name, "bare")
    fetched: list[Any] = []
    turn = asyncio.Lock()

    async def take() -> None:
        async with turn:
            while not fetched:
                fetched.extend(await subscription.fetch(PREFETCH, timeout=0.05))
            mine = fetched.pop()
        await mine.ack()

    async def taken() -> None:
        while True:
            try:
                return await take()
            except TimeoutError:
                continue

    yield lambda _number: stream.publish(name, CONTENT), taken, nothing
    await client.close()


@asynccontextmanager
async def bare_rabbitmq(port: int) -> AsyncIterator[Ways]:
    name = f"bare-{next(_NAMES)}"
    connection = await aio_pika.connect(host="127.0.0.1", port=port)
    async with connection:
        channel, other = await connection.channel(), await connection.channel()
        await other.set_qos(PREFETCH)
        queue = await other.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        await queue.consume(arrived.put)

        async def publish(_number: int) -> None:
            persistent = aio_pika.DeliveryMode.PERSISTENT
            sent = aio_pika.Message(CONTENT, delivery_mode=persistent)
            await channel.default_exchange.publish(sent, name)

        async def take() -> None:
            await (await arrived.get()).ack()

        yield publish, take, nothing


@asynccontextmanager
async def through_kit(place: Place) -> AsyncIterator[Ways]:
    async with opened(place, _CLOCK) as queues:
        queue = queues.queue(f"kit-{next(_NAMES)}", 10)
        await queue.depth()
        async with queue.consume(PREFETCH) as deliveries:

            async def take() -> None:
                await (await anext(deliveries)).ack()

            yield lambda number: queue.publish(f"id-{number}", CONTENT), take, nothing


@asynccontextmanager
async def as_jobs(backend: Backend, folder: Path) -> AsyncIterator[Ways]:
    done: asyncio.Queue[None] = asyncio.Queue()

    async def answer(_request: Any, _context: Any) -> system.ListSystemResponse:
        done.put_nowait(None)
        return system.ListSystemResponse()

    callee = fake_agent(system.DESCRIPTOR, ListSystem=answer)
    state = folder / f"jobs-{next(_NAMES)}"
    state.mkdir()
    settings = cfg.JobSettings()
    settings.CopyFrom(backend.settings)
    settings.workers = WORKERS
    serves = serving(AGENT, settings=settings, beside=(callee,), state_dir=state)
    async with serves as channel:
        stub: Any = rpc.JobServiceStub(channel)
        request = pb.SubmitJobRequest()
        request.call.method = _METHOD

        async def idle() -> None:
            while True:
                told = await stub.GetQueue(pb.GetQueueRequest())
                if told.HasField("queued") and not (told.queued or told.busy):
                    return
                await _CLOCK.sleep(0.02)

        await stub.SubmitJob(request)
        await done.get()
        await idle()

        async def submit(_number: int) -> None:
            """An agent with too much to do says so, and is asked again."""
            while True:
                try:
                    await stub.SubmitJob(request)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                        raise
                    await _CLOCK.sleep(0.02)
                else:
                    return

        yield submit, done.get, idle


async def measure(backend: Backend, folder: Path, number: int, rounds: int) -> list[Row]:
    """In turn, so that what else the machine does meets all of them."""
    found: dict[str, list[float]] = {"bare": [], "queue": [], "jobs": []}
    for _ in range(rounds):
        ways: dict[str, Callable[[], Any]] = {
            "bare": backend.bare,
            "queue": lambda: through_kit(backend.place),
            "jobs": lambda: as_jobs(backend, folder),
        }
        for name, way in ways.items():
            async with way() as ways_of:
                found[name].append(await per_second(number, ways_of))
    bare = statistics.median(found["bare"])
    return [
        {
            "what": f"{backend.name} {name}",
            "per_s": round(statistics.median(each)),
            "least": round(min(each)),
            "most": round(max(each)),
            "of_bare": round(statistics.median(each) / bare, 2),
        }
        for name, each in found.items()
    ]


async def run(number: int, rounds: int) -> list[Row]:
    rows: list[Row] = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sqlite = Backend(
            "sqlite", folder / "queue.sqlite", cfg.JobSettings(), lambda: bare_sqlite(folder)
        )
        rows += await measure(sqlite, folder, number, rounds)
        async with nats_broker() as broker:
            url, port = f"nats://127.0.0.1:{broker.port}", broker.port
            settings = cfg.JobSettings(nats=cfg.NatsQueue(servers=[url]))
            jetstream = Backend("nats", NatsPlace((url,)), settings, lambda: bare_nats(url))
            rows += await measure(jetstream, folder, number, rounds)
        async with rabbitmq_broker() as broker:
            port = broker.port
            settings = cfg.JobSettings(rabbitmq=cfg.RabbitmqQueue(address=f"127.0.0.1:{port}"))
            place = RabbitmqPlace("127.0.0.1", port, settle_s=0)
            rabbit = Backend("rabbitmq", place, settings, lambda: bare_rabbitmq(port))
            rows += await measure(rabbit, folder, number, rounds)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=3000, help="of each (default 3000)")
    parser.add_argument("--rounds", type=int, default=3, help="(default 3)")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    said = parser.parse_args()
    for row in asyncio.run(run(said.number, said.rounds)):
        if said.json:
            sys.stdout.write(json.dumps({"bench": "job_queue", **row}) + "\n")
        else:
            fields = ", ".join(f"{key} {value}" for key, value in row.items() if key != "what")
            sys.stdout.write(f"{row['what']}: {fields}\n")


if __name__ == "__main__":
    main()
