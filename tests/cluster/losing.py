"""A fleet under load that loses a process: what callers and the one who writes notice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from services.control.traffic_policy.agent import AGENT as TRAFFIC_POLICY
from services.platform.event_store import AGENT as EVENT_STORE
from services.utility.toolbox.agent import AGENT as TOOLBOX
from tandem.platform.v1 import event_store_service_pb2 as store_pb
from tandem.platform.v1 import event_store_service_pb2_grpc as store_rpc
from tandem.utility.v1 import text_pb2 as text_pb
from tandemkit.core.clock import SystemClock
from tandemkit.core.token import Token
from tandemkit.mesh.bootstrap import VARIABLE, Node, bootstrap
from tandemkit.rpc.local import INSTANCE_HEADER
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.checkouts import write_deploy
from tandemkit.testing.parts import short_folder
from tandemkit.testing.tokens import shown
from tests.cluster.eventually import eventually
from tests.cluster.fleets import Checkout
from tests.cluster.load import Outcome
from tests.cluster.mesh import driver
from tests.cluster.mesh.trial_fleet import Client

SERVED = (REGISTRY, FLEET_STATUS, TRAFFIC_POLICY, MACHINE, EVENT_STORE, TOOLBOX)
# Two processes of one group, one of another that keeps state.
LONE = f"{TOOLBOX.name}-lone"
GROUPS = {"pair": [TOOLBOX.name], "store": [EVENT_STORE.name, LONE]}
STREAM = "trial/kills"
PER_S = 40
_CLOCK = SystemClock()


@dataclass(frozen=True)
class Loss:
    """What became of calls while a process was away."""

    replaced_s: float
    back_s: float
    pair: Outcome
    lone: Outcome

    def __str__(self) -> str:
        """A row of a table: calls are told as started = ok + failed, and the slowest."""
        both = (
            f"{one.started:4} = {one.ok:4} + {one.failed:1}, {one.slowest_s:5.2f} s"
            for one in (self.pair, self.lone)
        )
        return f"{self.replaced_s:5.2f} s | {self.back_s:5.2f} s | {' | '.join(both)}"


class Writer:
    """Appends one event after the other to the store, and knows which were acknowledged."""

    def __init__(self, address: str, token: Token) -> None:
        self._address, self._token = address, token
        self.acknowledged: list[str] = []
        self._is_done, self._has_ended = False, asyncio.Event()

    async def run(self) -> None:
        async with shown(self._address, self._token) as channel:
            stub = store_rpc.EventStoreServiceStub(channel)
            while not self._is_done:
                await self._append(stub, f"trial/{len(self.acknowledged)}")
        self._has_ended.set()

    async def _append(self, stub: store_rpc.EventStoreServiceAsyncStub, event: str) -> None:
        request = store_pb.AppendEventsRequest(stream=STREAM)
        request.events.add(id=event).content.schema = "tandem.trial.v1.Loss"
        try:
            await stub.AppendEvents(request, wait_for_ready=True, timeout=1.0)
        except grpc.aio.AioRpcError:
            # It may or may not have happened: the same one again.
            await _CLOCK.sleep(0.05)
        else:
            self.acknowledged.append(event)

    async def kept(self) -> list[str]:
        """What the store has in its order, once nothing more is appended."""
        self._is_done = True
        await self._has_ended.wait()
        found: list[str] = []
        async with shown(self._address, self._token) as channel:
            stub = store_rpc.EventStoreServiceStub(channel)
            while True:
                request = store_pb.ReadStreamRequest(stream=STREAM, after_version=len(found))
                answer = await stub.ReadStream(request, wait_for_ready=True, timeout=10.0)
                if not answer.events:
                    return found
                found += [one.id for one in answer.events]


class Trial:
    """A fleet, and who calls it."""

    def __init__(self, checkout: Checkout, client: Client, writer: Writer) -> None:
        self.checkout, self.client, self.writer = checkout, client, writer

    async def lose(self, name: str, number: signal.Signals) -> Loss:
        """Calls go on until it is back."""
        measure = text_pb.MeasureTextRequest(text="a").SerializeToString().hex()
        texts = text_pb.CompareTextsRequest(left="a", right="b")
        texts.measure = text_pb.SIMILARITY_MEASURE_LEVENSHTEIN
        made = await self.client.made()

        async def lose() -> tuple[float, float]:
            await self.client.has_made(made + PER_S)
            before = self.checkout.pids()[name]
            began_s = _CLOCK.monotonic_s()
            os.kill(before, number)
            await eventually(self._pids, lambda pids: pids.get(name, before) != before)
            replaced_s = _CLOCK.monotonic_s() - began_s
            await eventually(self._serves, within_s=60.0)
            back_s = _CLOCK.monotonic_s() - began_s
            await self.client.has_made(await self.client.made() + PER_S)
            await self.client.stop()
            return replaced_s, back_s

        run = self.client.run_at
        of_all: dict[str, Any] = {"count": 100_000, "is_named": False}
        waits: dict[str, Any] = {"per_s": PER_S / 10, "wait_for_ready": True, **of_all}
        alone = {"headers": {INSTANCE_HEADER: LONE}, **waits}
        pair, lone, (replaced_s, back_s) = await asyncio.gather(
            run(_path("MeasureText"), request=measure, per_s=PER_S, **of_all),
            # It may take ten seconds, by its contract: what exceeds five is seen, and not cut off.
            run(_path("CompareTexts"), request=texts.SerializeToString().hex(), **alone),
            lose(),
        )
        return Loss(replaced_s, back_s, pair, lone)

    async def _pids(self) -> dict[str, int]:
        return self.checkout.pids()

    async def _serves(self) -> bool:
        return (await self.checkout.tandem("status", "--json")).returncode == 0


def _write(folder: Path) -> None:
    """Its deploy/."""
    own = {"control": ["control-*"], "machine": ["control-machine"]}
    groups = [{"name": name, "agents": agents} for name, agents in (own | GROUPS).items()]
    stanzas: list[dict[str, Any]] = [
        {"name": one.name, "service": one.promise.service.full_name, "replicas": 1}
        | ({"replicas": 2} if one is TOOLBOX else {})
        for one in SERVED
    ]
    stanzas.append({"name": LONE, "service": TOOLBOX.promise.service.full_name, "replicas": 1})
    placed = [
        {"group": name} | ({"replicas": 2} if name == "pair" else {}) for name in (own | GROUPS)
    ]
    profile = {"name": "laptop", "machines": ["laptop"], "groups": placed}
    files: dict[str, Any] = {
        "fleet/layout/groups.yaml": {"groups": groups},
        "fleet/profiles/laptop.yaml": profile,
    }
    for stanza in stanzas:
        family = stanza["name"].partition("-")[0]
        files.setdefault(f"fleet/{family}.yaml", {"agents": []})["agents"].append(stanza)
    write_deploy(folder, files)


def _path(method: str) -> str:
    return f"/{TOOLBOX.promise.service.full_name}/{method}"


@asynccontextmanager
async def trial() -> AsyncIterator[Trial]:
    with short_folder() as folder:
        _write(folder)
        checkout = Checkout(folder)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(checkout.tandem, "down")
            told = await checkout.told("up", "-d")
            addresses = {one["host"]: one["address"] for one in told["hosts"]}
            token = Token(checkout.home.token)
            writer = Writer(addresses["store"], token)
            client = await stack.enter_async_context(client_of(checkout, told["controls"]))
            tasks = await stack.enter_async_context(Tasks())
            tasks.spawn("writer", writer.run())
            yield Trial(checkout, client, writer)


@asynccontextmanager
async def client_of(checkout: Checkout, controls: Sequence[str]) -> AsyncIterator[Client]:
    """Who calls the fleet as `xds:///tandem`: a process of its own."""
    socket = checkout.folder / "client.sock"
    known = {VARIABLE: bootstrap(Node("client", "laptop"), controls)}
    driven = (f"unix:{socket}", "xds:///tandem", driver.OURS)
    argv = (sys.executable, "-m", driver.__name__, *driven)
    environment = {**checkout.variables, **known}
    command = Command(argv, checkout.folder / "client.log", env=environment)

    async def listens() -> None:
        assert socket.exists()

    async with (
        supervised_process(command, ready=listens) as process,
        grpc.aio.insecure_channel(f"unix:{socket}") as channel,
    ):
        yield Client(channel, process.pid)
