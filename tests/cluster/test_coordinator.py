"""The front for requests in people's own words, on a fleet of several hosts: right on the first
day, in time when a host freezes, and at five times the usual load.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import pytest

from services.language.request_coordinator.agent import AGENT as COORDINATOR
from services.memory.answer.agent import AGENT as ANSWER
from services.memory.context_assembler.agent import AGENT as ASSEMBLER
from services.memory.knowledge_base.agent import AGENT as KNOWLEDGE
from services.memory.memory_orchestrator.agent import AGENT as MEMORY
from services.memory.session_memory.agent import AGENT as SESSIONS
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandemkit.core.clock import stopwatch_s
from tandemkit.core.token import Token
from tandemkit.rpc.bearing import bearing
from tandemkit.rpc.channel import OPTIONS
from tandemkit.rpc.priority import Priority
from tandemkit.testing.checkouts import write_checkout
from tandemkit.testing.parts import short_folder
from tests.cluster.eventually import eventually
from tests.cluster.fleets import SERVED, Checkout
from tests.cluster.laden import SHARE, SHED
from tests.cluster.load import Calls, Load, Outcome
from tests.repo.checkout import root

pytestmark = pytest.mark.cluster
AGENTS = (*SERVED, COORDINATOR, KNOWLEDGE, ANSWER, ASSEMBLER, MEMORY, SESSIONS)
QUESTION = "How do I add an agent?"
_PATH = "/tandem.language.v1.RequestCoordinatorService/Ask"
_TIMES, _FOR_S, _FAILED_MAX = 5, 4.0, 0.01
# More than a crowded machine takes: no call fails for want of patience.
_PATIENCE_S, _WITHIN_S = 30.0, 3.0


@pytest.fixture
async def fleet() -> AsyncIterator[Checkout]:
    """With the documents of this checkout, and whoever keeps them in a host of their own."""
    with short_folder() as folder:
        write_checkout(folder, AGENTS)
        for name in ("README.md", "CONTRIBUTING.md"):
            shutil.copy(root() / name, folder / name)
        shutil.copytree(root() / "docs", folder / "docs")
        checkout = Checkout(folder)
        checkout.give_hosts({"memory": ["memory-*"]})
        async with checkout.serving():
            yield checkout


async def _asked(fleet: Checkout, *words: str) -> Any:
    """What the command says with --json, whatever its exit code."""
    return json.loads((await fleet.tandem("ask", *words, "--json")).stdout)


async def test_m005_the_front_answers_in_time_on_a_fresh_fleet_frozen_and_laden(
    fleet: Checkout,
) -> None:
    """One fleet, one after the other: each needs it as the one before left it."""
    await _is_right_on_the_first_day(fleet)
    async with _channel(fleet) as channel:
        await _bears_five_times_the_load(channel)
    await _is_in_time_where_a_host_is_frozen(fleet)


async def _is_right_on_the_first_day(fleet: Checkout) -> None:
    def is_right(told: Any) -> bool:
        return "tools/new_agent.py" in told.get("answer", "")

    told = await eventually(lambda: _asked(fleet, QUESTION), is_right, within_s=30)
    assert told["answerer"]["backend"] == "extractive"
    assert told["citations"]
    for one in told["citations"]:
        text = (fleet.folder / one["uri"]).read_text("utf-8")
        assert text[one["start_char"] : one["end_char"]] == one["quote"]


@asynccontextmanager
async def _channel(fleet: Checkout) -> AsyncIterator[grpc.aio.Channel]:
    """To the host of the coordinator."""
    hosts = (await fleet.told("up", "-d"))["hosts"]
    (address,) = (one["address"] for one in hosts if COORDINATOR.name in one["agents"])
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        yield bearing(channel, Token(fleet.home.token))


async def _bears_five_times_the_load(channel: grpc.aio.Channel) -> None:
    """Of what is not refused for want of room, less than one in a hundred fails; who waits for an
    answer is not refused, batch calls are.
    """
    outcome = await Load(channel, _calls(80, at_once=8)).run()
    assert outcome.failed == 0, str(outcome)
    normal_per_s = outcome.ok / (outcome.ended_s - outcome.began_s) / 2
    by_class = await _called(channel, normal_per_s * _TIMES)
    told = "; ".join(f"{one.word}: {outcome}" for one, outcome in by_class.items())
    let_in = sum(one.started - one.failures.get(SHED, 0) for one in by_class.values())
    failed = sum(one.failed - one.failures.get(SHED, 0) for one in by_class.values())
    assert failed < _FAILED_MAX * let_in, told
    interactive, batch = by_class[Priority.INTERACTIVE], by_class[Priority.BATCH]
    assert interactive.failed == 0, told
    assert batch.failures.get(SHED, 0) > 0, told


async def _called(channel: grpc.aio.Channel, per_s: float) -> Mapping[Priority, Outcome]:
    loads = {
        one: Load(channel, _calls(round(per_s * share * _FOR_S), priority=one, per_s=per_s * share))
        for one, share in SHARE.items()
    }
    outcomes = await asyncio.gather(*(load.run() for load in loads.values()))
    return dict(zip(loads, outcomes, strict=True))


def _calls(
    count: int,
    *,
    at_once: int = 0,
    per_s: float = 0.0,
    priority: Priority = Priority.STANDARD,
) -> Calls:
    return Calls(
        _PATH,
        count,
        at_once,
        per_s,
        headers=dict([priority.header]),
        deadline_s=_PATIENCE_S,
        request=pb.AskRequest(text=QUESTION).SerializeToString().hex(),
        is_named=False,
    )


async def _is_in_time_where_a_host_is_frozen(fleet: Checkout) -> None:
    """It says so before the caller's deadline; what needs nobody there is answered."""
    pid = fleet.pids()["memory"]
    os.kill(pid, signal.SIGSTOP)
    try:
        begun_s = stopwatch_s()
        told = await _asked(fleet, QUESTION, "--within-s", str(_WITHIN_S))
        # Of which the command's own start is the least.
        assert stopwatch_s() - begun_s < 2 * _WITHIN_S
        # Or its supervisor was so quick that another one answered.
        if "error" in told:
            assert "NOBODY_ANSWERED" in told["error"]["message"]
        else:
            assert fleet.pids()["memory"] != pid
        assert (await _asked(fleet, "What is 3 + 4?"))["answer"] == "7"
    finally:
        # Unless its supervisor has killed it by now.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
