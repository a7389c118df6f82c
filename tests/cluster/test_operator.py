"""What an operator types, beside a real fleet: how it is, and what is done to it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio

from services.control.traffic_policy.agent import AGENT as TRAFFIC_POLICY
from tandemkit.supervise.processes import Command, supervised_process
from tests.cluster.eventually import eventually
from tests.cluster.fleets import SERVED, TANDEM, Checkout, detached_fleet

pytestmark = pytest.mark.cluster


@pytest.fixture
async def fleet() -> AsyncIterator[Checkout]:
    async with detached_fleet() as checkout:
        yield checkout


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting() -> AsyncIterator[Checkout]:
    """For those who leave it as they found it."""
    async with detached_fleet() as checkout:
        yield checkout


async def status(fleet: Checkout) -> Any:
    """Of this machine, with the exit code under `exit`."""
    done = await fleet.tandem("status", "--json")
    told = json.loads(done.stdout)
    return {**(told.get("machines") or [told])[0], "exit": done.returncode}


def host(machine: Any, name: str) -> Any:
    return next(one for one in machine["hosts"] if one["host"] == name)


async def test_status_follows_a_host_that_dies_and_comes_back(fleet: Checkout) -> None:
    """All serves, not all serves with the cause, all serves again with the restart counted."""
    before = await status(fleet)
    assert (before["exit"], before["serving"]) == (0, True)
    os.kill(fleet.pids()["agents"], signal.SIGKILL)
    down = await eventually(lambda: status(fleet), lambda told: told["exit"] == 1)
    assert "SIGKILL" in host(down, "agents")["cause"]
    again = await eventually(lambda: status(fleet), lambda told: told["exit"] == 0)
    assert host(again, "agents")["restarts"] == 1
    assert host(again, "agents")["agents"][0]["state"] == "SERVING"


async def test_a_frozen_machine_and_an_ended_one_are_told_apart(fleet: Checkout) -> None:
    """Each in one sentence, with exit code 1, and neither hangs."""
    pids = fleet.pids()
    for name in ("supervisor", "keeper"):
        os.kill(pids[name], signal.SIGSTOP)
    frozen = await status(fleet)
    for name in ("supervisor", "keeper"):
        # The first one that wakes finds the other frozen, and replaces it.
        with suppress(ProcessLookupError):
            os.kill(pids[name], signal.SIGCONT)
    assert f"(pid {pids['supervisor']}) does not answer" in frozen["error"]["message"]
    await eventually(lambda: status(fleet), lambda told: told["exit"] == 0)
    await fleet.told("down")
    gone = await status(fleet)
    assert gone["error"]["message"].startswith("nothing runs here")
    assert (frozen["exit"], gone["exit"]) == (1, 1)


async def test_a_watch_goes_on_over_a_supervisor_that_is_killed_or_frozen(fleet: Checkout) -> None:
    """One line for each change; it says when nobody tells it anything, and finds the next one."""
    path = fleet.folder / "watched"
    argv = (*TANDEM, "status", "--watch", "--json")
    command = Command(argv, path, env=fleet.variables)

    async def lines() -> list[Any]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    async def shows(holds: Callable[[list[Any]], bool]) -> list[Any]:
        return await eventually(lines, holds, within_s=60)

    async with supervised_process(command):
        await shows(lambda told: bool(told) and told[-1]["serving"])
        first = fleet.pids()["supervisor"]
        os.kill(first, signal.SIGKILL)
        told = await shows(
            lambda told: told[-1]["serving"] and told[-1]["machines"][0]["pid"] != first,
        )
        assert any("ended" in remark for one in told for remark in one["remarks"])
        frozen = [fleet.pids()[name] for name in ("keeper", "supervisor")]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        await shows(lambda told: "does not answer" in str(told[-1]["remarks"]))
        for pid in reversed(frozen):
            os.kill(pid, signal.SIGCONT)
        await shows(lambda told: told[-1]["serving"] and not told[-1]["remarks"])
        os.kill(fleet.pids()["agents"], signal.SIGKILL)
        await shows(lambda told: not told[-1]["serving"])
        await shows(lambda told: bool(told[-1]["serving"]))


async def test_one_instance_is_called_by_its_name(fleet: Checkout) -> None:
    """The supervisor is an agent too, reached over the mesh like any other."""
    words = ("control-machine/GetMachine", "--instance", "control-machine-laptop")
    told = await fleet.told("call", *words)
    assert told["machine"]["name"] == "laptop"
    agents = {one["name"]: one for one in await fleet.told("agents")}
    (instance,) = agents["utility-toolbox"]["instances"]
    assert (instance["host"], instance["state"]) == ("laptop-agents", "SERVING")


async def test_a_drained_host_has_no_calls_until_it_is_returned() -> None:
    """By the traffic policy, whose history says who asked, and why."""
    async with detached_fleet((*SERVED, TRAFFIC_POLICY)) as fleet:
        await fleet.told("drain", "agents", "--author", "ana", "--reason", "a drill")
        drained = await eventually(lambda: status(fleet), lambda told: told["exit"] == 1)
        assert host(drained, "agents")["state"] == "DRAINING"
        (change,) = (await fleet.told("policy", "history"))["changes"]
        assert change["note"] == {"author": "ana", "reason": "a drill"}
        assert change["drainedHosts"] == ["hosts/laptop-agents"]
        await fleet.told("return", "agents")
        await eventually(lambda: status(fleet), lambda told: told["exit"] == 0)


async def test_logs_are_read_of_a_host_and_of_an_agent(fleet: Checkout) -> None:
    """While the fleet runs, and after it."""
    of_host = (await fleet.tandem("logs", "agents", "--json")).stdout
    assert "host.serving" in {json.loads(line).get("event") for line in of_host.splitlines()}
    of_agent = (await fleet.tandem("logs", "utility-toolbox", "--json")).stdout
    assert {"agent.serving"} <= {json.loads(line).get("event") for line in of_agent.splitlines()}
    await fleet.told("down")
    gone = await fleet.tandem("logs", "agents", "-n", "5")
    assert gone.returncode == 0
    assert "host.stopped" in gone.stdout
    assert gone.stderr.startswith("tandem: nothing runs here")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_wrong_name_gets_the_near_one(lasting: Checkout) -> None:
    """From the machine that runs, and nothing is done."""
    done = await lasting.tandem("stop", "utility-tolbox")
    assert done.returncode == 1
    assert done.stderr.endswith("did you mean `utility-toolbox`?\n")
    assert (await status(lasting))["exit"] == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_stopped_stays_so_until_it_is_started(lasting: Checkout) -> None:
    """An agent alone, then its host; each command says what it concerned, and is done when it
    says so.
    """
    for target in ("utility-toolbox", "agents"):
        done = await lasting.told("stop", target, "--reason", "a drill")
        assert target in (*done["hosts"], *done["agents"])
        assert (await lasting.told("stop", target))["was_so_already"]
        told = await status(lasting)
        assert told["exit"] == 1
        (agent,) = host(told, "agents")["agents"]
        assert agent["state"] == "STOPPED"
        await lasting.told("start", target)
        assert (await status(lasting))["exit"] == 0
    before = lasting.pids()
    await lasting.told("restart", "agents")
    after = lasting.pids()
    assert after["agents"] != before["agents"]
    assert {**after, "agents": 0} == {**before, "agents": 0}


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_suspended_is_refused_until_it_is_resumed(lasting: Checkout) -> None:
    """By another spelling of its name too, and callers hear that it is not there."""
    call = ("call", "utility-toolbox/MeasureText", "--text", "one", "--deadline-s", "5")
    assert (await lasting.told("suspend", "utility-toolbox"))["agents"] == ["utility-toolbox"]
    assert host(await status(lasting), "agents")["agents"][0]["state"] == "SUSPENDED"
    refused = await lasting.tandem(*call, "--json")
    assert json.loads(refused.stdout)["error"]["code"] == "UNAVAILABLE"
    await lasting.told("resume", "tandem.utility.v1.ToolboxService")

    async def answer() -> int:
        return (await lasting.tandem(*call)).returncode

    await eventually(answer, lambda code: code == 0)
