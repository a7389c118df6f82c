"""A whole fleet in which one agent misbehaves: its supervisor says so at once, and acts in time."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from tandem.fleet.v1.plan_pb2 import PlannedHost
from tandemkit.core.clock import stopwatch_s
from tandemkit.core.token import Token
from tandemkit.machine.orders import planned_machine
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.checkouts import write_deploy
from tandemkit.testing.parts import short_folder
from tandemkit.testing.tokens import shown
from tests.cluster import stuck_host
from tests.cluster.aloud import Tell
from tests.cluster.eventually import eventually
from tests.cluster.fleets import Checkout
from tests.cluster.mesh.trial_contract import ALPHA, BETA, Answer, Question
from tests.unit.tandemkit.hosting.asking import Told, told_at

pytestmark = pytest.mark.cluster
STUCK, WELL = "trial-alpha", "trial-beta"
STALL_S = 4
ASKED_COUNT = 300


class Trial:
    """The fleet, and what to ask of it."""

    def __init__(self, checkout: Checkout, tasks: Tasks) -> None:
        self.checkout, self._tasks = checkout, tasks

    def planned(self, host: str) -> PlannedHost:
        """As its supervisor wants it now; LookupError where it does not."""
        wanted = self.checkout.home.wanted
        for one in planned_machine(wanted).hosts if wanted else ():
            if one.name == host:
                return one
        raise LookupError(host)

    async def asked(self, host: str) -> Told:
        """What the supervisor says of it over HTTP."""
        port = self.planned("machine").http_port
        request = f"GET /health/hosts/{host} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        return await told_at(("127.0.0.1", port), request)

    async def until(self, host: str, status: str, within_s: float = 30) -> Any:
        async def look() -> Any:
            return (await self.asked(host)).value

        return await eventually(look, lambda one: one.get("status") == status, within_s=within_s)

    async def call(self, host: str, service: str, text: str = "") -> str:
        token = Token(self.checkout.home.token)
        address = f"127.0.0.1:{self.planned(host).grpc_port}"
        codecs = Question.SerializeToString, Answer.FromString
        async with shown(address, token) as channel:
            ask: Any = channel.unary_unary(f"/{service}/Ask", *codecs)
            answer = await ask(Question(text=text), timeout=60)
        return str(answer.text)

    def get_stuck(self, host: str, way: str) -> None:
        """Without waiting for what may never be answered."""

        async def call() -> None:
            try:
                await self.call(host, ALPHA, way)
            except grpc.aio.AioRpcError:
                return

        self._tasks.spawn("call", call())


@asynccontextmanager
async def trial() -> AsyncIterator[Trial]:
    with short_folder() as folder:
        family = folder / "services" / "trial"
        family.mkdir(parents=True)
        for number, name in enumerate(("alpha", "beta")):
            made = f"from {stuck_host.__name__} import AGENTS\n\nAGENT = AGENTS[{number}]\n"
            (family / f"{name}.py").write_text(made)
        control = [
            {"name": one.name, "service": one.promise.service.full_name}
            for one in (REGISTRY, FLEET_STATUS, MACHINE)
        ]
        stuck = {"name": STUCK, "service": ALPHA, "stall_max": f"{STALL_S}s"}
        well = {"name": WELL, "service": BETA, "settings": {"text": "well"}}
        families = {"control": control, "trial": [stuck, well]}
        files = {f"fleet/{name}.yaml": {"agents": one} for name, one in families.items()}
        write_deploy(folder, files)
        checkout = Checkout(folder)
        checkout.variables["PYTHONPATH"] += f"{os.pathsep}{folder}"
        try:
            async with Tasks() as tasks:
                assert (await checkout.told("up", "-d"))["serving"]
                yield Trial(checkout, tasks)
        finally:
            await checkout.tandem("down")
        assert checkout.pids() == {}


@pytest.fixture
async def fleet() -> AsyncIterator[Trial]:
    async with trial() as found:
        yield found


async def test_a_host_that_keeps_its_lock_is_answered_for_within_100_ms(
    fleet: Trial, tell: Tell
) -> None:
    """BUSY, and with whom, in 99 of 100 answers: its supervisor knows without asking it."""
    assert (await fleet.until("agents", "SERVING"))["cause"] is None
    fleet.get_stuck("agents", "compute_locked")
    found = await fleet.until("agents", "BUSY")
    took_s: list[float] = []
    while len(took_s) < ASKED_COUNT:
        began_s = stopwatch_s()
        status = (await fleet.asked("agents")).value["status"]
        took_s.append(stopwatch_s() - began_s)
        if status != "BUSY":
            await fleet.until("agents", "SERVING")
            fleet.get_stuck("agents", "compute_locked")
            await fleet.until("agents", "BUSY")
    most_s = sorted(took_s)[len(took_s) * 99 // 100]
    tell("the supervisor's answer for a host that keeps its lock, p99, ms", f"{1e3 * most_s:.1f}")
    assert most_s < 0.1
    assert "has held its loop for" in found["cause"]


async def test_an_agent_that_spins_is_given_a_host_of_its_own(fleet: Trial) -> None:
    """Once its time is spent; from then on it harms nobody but itself."""
    before = (await fleet.until("agents", "SERVING"))["pid"]
    fleet.get_stuck("agents", "spin")
    assert (await fleet.until("agents", "BUSY"))["pid"] == before
    alone = f"agents-{STUCK}"
    await fleet.until(alone, "SERVING")
    neighbours = await fleet.until("agents", "SERVING")
    assert [one["name"] for one in neighbours["agents"]] == [WELL]
    assert neighbours["pid"] != before
    assert await fleet.call("agents", BETA) == "well"
    first = (await fleet.asked(alone)).value["pid"]
    fleet.get_stuck(alone, "spin")
    await fleet.until(alone, "BUSY")
    assert await fleet.call("agents", BETA) == "well"

    async def pid() -> int:
        return int((await fleet.asked(alone)).value["pid"] or first)

    await eventually(pid, lambda found: found != first)
    await fleet.until(alone, "SERVING")
    assert (await fleet.asked("agents")).value["pid"] == neighbours["pid"]


@pytest.mark.parametrize("host", ["control", "agents"])
async def test_a_stopped_host_is_killed_and_replaced_within_3_s(
    fleet: Trial, tell: Tell, host: str
) -> None:
    """From the signal to the start of the next process; control as any other."""
    before = (await fleet.until(host, "SERVING"))["pid"]
    began_s = stopwatch_s()
    os.kill(before, signal.SIGSTOP)

    async def pid() -> int:
        return fleet.checkout.pids()[host]

    await eventually(pid, lambda found: found != before, within_s=10)
    took_s = stopwatch_s() - began_s
    tell(f"from SIGSTOP of {host} to its next process, s", f"{took_s:.2f}")
    assert took_s < 3
    await fleet.until(host, "SERVING")
    assert await fleet.call("agents", BETA) == "well"
