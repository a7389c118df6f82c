"""A real control, and hosts of the runtime under test that are started as a supervisor would."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from tandem.control.v1 import host_service_pb2 as host_pb
from tandem.control.v1 import host_service_pb2_grpc as host_rpc
from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.fleet.v1.plan_pb2 import PlannedHost
from tandemkit.core.token import Token
from tandemkit.machine.home import Home, write_at_once
from tandemkit.machine.orders import Order, Site
from tandemkit.rpc.bearing import bearing
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.parts import free_ports
from tandemkit.testing.tokens import shown
from tests.cluster.controlled import MACHINE, Controlled
from tests.cluster.eventually import eventually
from tests.contract.runtime.case import Asked, Held, Runtime
from tests.unit.tandemkit.hosting.asking import Told, told_at

_READY_WITHIN_S = 60.0


@dataclass
class Host:
    """One process of the runtime, and calls of the agent in it."""

    runtime: Runtime
    order: Order
    process: Process
    channel: grpc.aio.Channel
    open_channel: grpc.aio.Channel
    token: Token
    home: Home

    @property
    def pulse(self) -> Path:
        """Where the supervisor feels it."""
        return self.home.pulses / self.order.name

    @property
    def name(self) -> str:
        """As the registry has it."""
        return f"hosts/{MACHINE}-{self.order.name}"

    @property
    def stub(self) -> Any:
        """What the machine's supervisor asks."""
        return host_rpc.HostServiceStub(self.channel)

    def lines(self) -> list[dict[str, Any]]:
        """Its log so far, which is nothing but JSON objects; the last line may be half written."""
        whole = self.process.command.log_path.read_text().rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in whole]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["event"] == name]

    async def until_logged(self, name: str) -> dict[str, Any]:
        """The first line of that event."""

        async def look() -> list[dict[str, Any]]:
            return self.events(name)

        return (await eventually(look))[0]

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    async def ask(self, asked: Asked, **options: Any) -> Any:
        """The answer, by a caller who shows the token."""
        return await self.unary(asked.method)(asked.request, **options)

    def unary(self, name: str, *, shows_token: bool = True) -> Any:
        method = self.runtime.method(name)
        channel = self.channel if shows_token else self.open_channel
        return channel.unary_unary(
            method.path, lambda one: one.SerializeToString(), method.response.FromString
        )

    def raw(self, name: str) -> Any:
        """The same for bytes that may be no message."""
        method = self.runtime.method(name)
        return self.channel.unary_unary(method.path, None, method.response.FromString)

    async def hold(self, **options: Any) -> Holding:
        """A call that the host is serving when this returns."""
        return await Holding.begun(self, self.runtime.held, options)

    async def calls(self) -> int:
        """How many calls of its agent began."""
        said = await self.get(f"/health/{self.runtime.agent}")
        return int(said.value["calls"])

    async def get(self, path: str, *headers: str, method: str = "GET") -> Told:
        host, _, port = self.order.http_address.rpartition(":")
        name = (
            () if any(one.lower().startswith("host:") for one in headers) else ("Host: localhost",)
        )
        lines = (f"{method} {path} HTTP/1.1", *name, *headers, "", "")
        return await told_at((host, int(port)), "\r\n".join(lines))

    async def watch(self) -> Any:
        """A supervisor's watch, of which the first word was heard."""
        watch = self.stub.WatchHost(host_pb.WatchHostRequest())
        await watch.read()
        return watch


@dataclass
class Holding:
    """A call in progress, which goes on until its caller ends it."""

    call: Any
    held: Held

    @classmethod
    async def begun(cls, host: Host, held: Held, options: Mapping[str, Any]) -> Holding:
        method = host.runtime.method(held.method)
        before = await host.calls()
        call: Any = host.channel.stream_unary(
            method.path, lambda one: one.SerializeToString(), method.response.FromString
        )(**options)
        # One that is refused at once takes nothing; how it ended is its caller's to ask.
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await call.write(held.first)

        async def began() -> bool:
            return await host.calls() > before or bool(call.done())

        await eventually(began)
        return cls(call, held)

    async def finish(self) -> Any:
        """The answer."""
        await self.call.write(self.held.rest)
        await self.call.done_writing()
        return await self.call

    async def failure(self) -> grpc.aio.AioRpcError:
        """How it ends without its caller's doing."""
        try:
            await self.call
        except grpc.aio.AioRpcError as error:
            return error
        raise AssertionError("the call was answered")


@dataclass
class Fleet:
    """Everything of it ends with the block that made it."""

    controlled: Controlled
    home: Home
    runtime: Runtime
    stack: AsyncExitStack
    variables: dict[str, str] = field(default_factory=dict)
    started: int = 0

    @property
    def token(self) -> Token:
        return self.controlled.token

    def control(self) -> AbstractAsyncContextManager[grpc.aio.Channel]:
        return shown(self.controlled.control, self.token)

    async def start(
        self, *options: str, announced: bool = True, warm: bool = False, **variables: str
    ) -> Host:
        """A host with options besides the supervisor's, of which the last word counts. One that is
        `warm` has no agent yet.
        """
        self.started += 1
        order = self._order(f"{self.runtime.name}-{self.started}", warm=warm)
        plan = self.home.hosts / f"{order.name}.plan.binpb"
        write_at_once(plan, order.planned.SerializeToString(deterministic=True))
        known = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(self.controlled.folder)}
        command = Command(
            (*self.runtime.argv(order, self.home), *options),
            self.home.logs / f"{order.name}.log",
            env={**known, "PATH": os.defpath, **self.variables, **variables},
            grace_s=15.0,
        )
        ready = "host.announced" if announced else "host.serving"

        async def is_ready() -> None:
            assert ready in command.log_path.read_text()

        process = await self.stack.enter_async_context(
            supervised_process(command, ready=is_ready, ready_within_s=_READY_WITHIN_S)
        )
        wire = await self.stack.enter_async_context(grpc.aio.insecure_channel(order.address))
        channel = bearing(wire, self.token)
        return Host(self.runtime, order, process, channel, wire, self.token, self.home)

    def _order(self, name: str, *, warm: bool) -> Order:
        planned = PlannedHost()
        planned.CopyFrom(self.runtime.planned)
        planned.name = name
        planned.grpc_port, planned.http_port = free_ports(2)
        if not warm:
            planned.agents.add(name=self.runtime.agent, service=self.runtime.service)
        site = Site(MACHINE, "127.0.0.1", "127.0.0.1", (self.controlled.control,))
        return Order(planned, site, "")

    async def hosts(self) -> dict[str, nouns.Host]:
        """Who is registered, by name."""
        async with self.control() as channel:
            stub = registry_rpc.RegistryServiceStub(channel)
            watch: Any = stub.WatchHosts(registry.WatchHostsRequest(), wait_for_ready=True)
            try:
                first = await watch.read()
            finally:
                watch.cancel()
        return {one.name: one for one in first.snapshot.hosts}

    async def until_gone(self, name: str, within_s: float = 20.0) -> None:
        await eventually(self.hosts, lambda found: name not in found, within_s=within_s)

    async def until_there(self, name: str) -> nouns.Host:
        return (await eventually(self.hosts, lambda found: name in found))[name]


@asynccontextmanager
async def fleet_of(runtime: Runtime, folder: Path) -> AsyncIterator[Fleet]:
    """One control, whose folder all hosts share."""
    async with AsyncExitStack() as stack:
        controlled = Controlled(folder, stack)
        home = Home(controlled.token.path.parent)
        home.prepare()
        await controlled.start_control()
        yield Fleet(controlled, home, runtime, stack)


async def ended(process: Process, within_s: float = 20.0) -> int:
    """Its exit status, once it has ended by itself."""
    async with asyncio.timeout(within_s):
        return await process.wait()
