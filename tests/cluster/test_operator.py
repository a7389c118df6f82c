"""What an operator types, beside a real fleet: how it is, and what is done to it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tandemkit.supervise.processes import Command, supervised_process
from tests.cluster.eventually import eventually
from tests.cluster.fleets import TANDEM, Checkout, detached_fleet

pytestmark = pytest.mark.cluster


@pytest.fixture
async def fleet() -> AsyncIterator[Checkout]:
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
    for name in ("keeper", "supervisor"):
        os.kill(pids[name], signal.SIGSTOP)
    frozen = await status(fleet)
    for name in ("supervisor", "keeper"):
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

    async with supervised_process(command):
        await eventually(lines, lambda told: bool(told) and told[-1]["serving"])
        first = fleet.pids()["supervisor"]
        os.kill(first, signal.SIGKILL)
        told = await eventually(
            lines,
            lambda told: told[-1]["serving"] and told[-1]["machines"][0]["pid"] != first,
        )
        assert any("ended" in remark for one in told for remark in one["remarks"])
        frozen = [fleet.pids()[name] for name in ("keeper", "supervisor")]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        await eventually(lines, lambda told: "does not answer" in str(told[-1]["remarks"]))
        for pid in reversed(frozen):
            os.kill(pid, signal.SIGCONT)
        await eventually(lines, lambda told: told[-1]["serving"] and not told[-1]["remarks"])
        os.kill(fleet.pids()["agents"], signal.SIGKILL)
        await eventually(lines, lambda told: not told[-1]["serving"])
        await eventually(lines, lambda told: bool(told[-1]["serving"]))


async def test_one_instance_is_called_by_its_name(fleet: Checkout) -> None:
    """The supervisor is an agent too, reached over the mesh like any other."""
    words = ("control-machine/GetMachine", "--instance", "control-machine-laptop")
    told = await fleet.told("call", *words)
    assert told["machine"]["name"] == "laptop"
    agents = {one["name"]: one for one in await fleet.told("agents")}
    (instance,) = agents["utility-toolbox"]["instances"]
    assert (instance["host"], instance["state"]) == ("laptop-agents", "SERVING")
