"""One client commands two machines, and what happens on both is recorded."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tandem.control.v1 import child_event_pb2 as children
from tandem.control.v1 import machine_event_pb2 as machines
from tandem.platform.v1 import system_service_pb2 as pb
from tests.cluster.eventually import eventually
from tests.cluster.two_machines import AGENT, FIRST, SECOND, Pair, two_machines

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]
# Each verb, and how the agent is afterwards, in an order in which each has something to do.
VERBS = {
    "STOP": pb.RUN_STATE_STOPPED,
    "START": pb.RUN_STATE_SERVING,
    "RESTART": pb.RUN_STATE_SERVING,
    "DRAIN": pb.RUN_STATE_DRAINING,
    "RETURN": pb.RUN_STATE_SERVING,
    "SUSPEND": pb.RUN_STATE_SUSPENDED,
    "RESUME": pb.RUN_STATE_SERVING,
}


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with two_machines() as found:
        yield found


def command(verb: str, target: str, *on: str) -> pb.RunCommandRequest:
    return pb.RunCommandRequest(
        request_id=f"{verb}-{target}",
        verb=pb.SystemVerb.Value(f"SYSTEM_VERB_{verb}"),
        target=target,
        machines=on,
        author="ann",
        reason="trying every verb",
    )


async def listed(pair: Pair) -> pb.ListSystemResponse:
    found: pb.ListSystemResponse = await pair.system.ListSystem(pb.ListSystemRequest())
    return found


async def states(pair: Pair) -> dict[str, int]:
    """Of the agent, by machine."""
    found = await listed(pair)
    return {one.machine: one.state for one in found.agents if one.name == AGENT}


def both(state: int) -> Any:
    return lambda found: found == {FIRST: state, SECOND: state}


async def test_m006_every_verb_is_tried_on_both_machines_from_one_client(pair: Pair) -> None:
    """Each is done by the machine's own supervisor, and is an event before and afterwards."""
    await eventually(lambda: states(pair), both(pb.RUN_STATE_SERVING), within_s=60)
    for verb, state in VERBS.items():
        done = await pair.system.RunCommand(command(verb, AGENT))
        outcomes = [(one.machine, one.code, list(one.agents)) for one in done.outcomes]
        assert outcomes == [(FIRST, 0, [AGENT]), (SECOND, 0, [AGENT])], verb
        await eventually(lambda: states(pair), both(state), within_s=10)
    agents = [one for one in (await listed(pair)).agents if one.name == AGENT]
    restarts = {one.machine: one.restarts for one in agents}
    assert restarts == {FIRST: 3, SECOND: 3}

    done = await pair.system.RunCommand(command("STOP", "agents", SECOND))
    assert [(one.machine, list(one.hosts)) for one in done.outcomes] == [(SECOND, ["agents"])]
    assert "agents" not in pair.second.pids()
    await pair.system.RunCommand(command("START", "agents", SECOND))
    await eventually(lambda: states(pair), both(pb.RUN_STATE_SERVING), within_s=30)

    async def said() -> list[bool]:
        found = await pair.recorded("commands", pb.SystemCommand)
        return [one.HasField("end_time") for one in found]

    await eventually(said, lambda found: found == [False, True] * (len(VERBS) + 2), within_s=20)

    async def on_second() -> list[str | None]:
        found = await pair.recorded(f"machines/{SECOND}", machines.MachineEvent)
        return [one.WhichOneof("what") for one in found]

    expected = ["supervisor_begun", "plan_applied"]
    expected += ["command_begun", "command_ended"] * (len(VERBS) + 2)
    await eventually(on_second, lambda found: found == expected, within_s=20)


async def test_a_restart_on_any_machine_is_an_event_with_its_cause(pair: Pair) -> None:
    """Of a host, by its supervisor; and of an agent, by its host."""
    await eventually(lambda: states(pair), both(pb.RUN_STATE_SERVING), within_s=60)
    os.kill(pair.second.pids()["agents"], signal.SIGKILL)

    async def of_machine() -> list[tuple[str, str, str]]:
        found = await pair.recorded(f"machines/{SECOND}", children.ChildEvent)
        return [
            (one.child, children.ChildStep.Name(one.step), one.cause.exited.signal) for one in found
        ]

    child = "agents/process"
    expected = [
        (child, "CHILD_STEP_FAILED", "SIGKILL"),
        (child, "CHILD_STEP_RESTARTING", "SIGKILL"),
        (child, "CHILD_STEP_UP", ""),
    ]
    await eventually(of_machine, lambda found: found == expected, within_s=30)
    await eventually(lambda: states(pair), both(pb.RUN_STATE_SERVING), within_s=30)
    await pair.system.RunCommand(command("RESTART", AGENT, SECOND))

    async def of_host() -> list[tuple[str, str, str]]:
        stream = f"machines/{SECOND}/{SECOND}-agents"
        found = await pair.recorded(stream, children.ChildEvent)
        return [
            (one.child, children.ChildStep.Name(one.step), one.cause.asked.author) for one in found
        ]

    child = f"agents/{AGENT}"
    asked = [(child, "CHILD_STEP_RESTARTING", "ann"), (child, "CHILD_STEP_UP", "")]
    await eventually(of_host, lambda found: found == asked, within_s=20)


async def test_a_machine_whose_supervisor_is_frozen_is_marked(pair: Pair) -> None:
    """The other one is listed and commanded meanwhile; its keeper sees to it that it comes back."""
    await eventually(lambda: states(pair), both(pb.RUN_STATE_SERVING), within_s=60)
    os.kill(pair.second.pids()["supervisor"], signal.SIGSTOP)
    found = await listed(pair)
    answered = {one.name: one.answered for one in found.machines}
    assert answered == {FIRST: True, SECOND: False}
    assert {one.machine for one in found.agents} == {FIRST}
    done = await pair.system.RunCommand(command("STOP", AGENT, FIRST))
    assert [one.code for one in done.outcomes] == [0]
    expected = {FIRST: pb.RUN_STATE_STOPPED, SECOND: pb.RUN_STATE_SERVING}
    await eventually(lambda: states(pair), lambda found: found == expected, within_s=30)

    async def lives() -> list[list[str]]:
        found = await pair.recorded(f"machines/{SECOND}", machines.MachineEvent)
        begun = [one.supervisor_begun for one in found if one.HasField("supervisor_begun")]
        return [list(one.adopted_hosts) for one in begun]

    await eventually(lives, lambda found: found == [[], ["agents"]], within_s=20)
