"""Brokers that keep what they confirmed, to be killed and started again: NATS and RabbitMQ."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.parts import demand, fetch, free_ports, short_folder
from tandemkit.testing.parts_network import rabbitmq_commands


class Broker:
    """A server on a port of its own, whose next life has what the last one confirmed."""

    def __init__(
        self, port: int, start: Callable[[], AbstractAsyncContextManager[Process]]
    ) -> None:
        self.port, self._start = port, start
        self._running = AsyncExitStack()
        self._process: Process | None = None

    async def start(self) -> None:
        """Returns once it answers."""
        self._process = await self._running.enter_async_context(self._start())

    async def kill(self) -> None:
        """As kill -9 does: nobody is told."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self.stop()

    async def stop(self) -> None:
        await self._running.aclose()


@asynccontextmanager
async def nats_broker(token: str = "") -> AsyncIterator[Broker]:
    """Skips where NATS is absent. It flushes what it confirms, and lets in who shows `token`."""
    program = demand("nats")["nats-server"]
    port, monitor = free_ports(2)
    with short_folder() as folder:
        (folder / "nats.conf").write_text(
            f'listen: "127.0.0.1:{port}"\nhttp: "127.0.0.1:{monitor}"\n'
            f'jetstream: {{store_dir: "{folder}/state", sync_interval: always}}\n'
            + (f'authorization: {{token: "{token}"}}\n' if token else "")
        )
        command = Command((str(program), "-c", str(folder / "nats.conf")), folder / "log")

        async def ready() -> None:
            await fetch(f"http://127.0.0.1:{monitor}/healthz?js-enabled-only=true")

        async with _alive(Broker(port, lambda: supervised_process(command, ready=ready))) as broker:
            yield broker


@asynccontextmanager
async def rabbitmq_broker() -> AsyncIterator[Broker]:
    """Skips where RabbitMQ is absent."""
    with short_folder() as folder:
        commands = rabbitmq_commands(folder)

        def start() -> AbstractAsyncContextManager[Process]:
            return supervised_process(commands.broker, ready=commands.found.answers)

        async with (
            supervised_process(commands.mapper),
            _alive(Broker(commands.found.amqp_port, start)) as broker,
        ):
            yield broker


@asynccontextmanager
async def _alive(broker: Broker) -> AsyncIterator[Broker]:
    try:
        await broker.start()
        yield broker
    finally:
        await broker.stop()
