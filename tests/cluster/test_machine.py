"""The supervisor of a machine in processes of its own: whoever is killed comes back, and no host
pays for it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tandemkit.core.clock import stopwatch_s
from tandemkit.core.lock import InUse, alone
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.checkouts import write_checkout
from tests.cluster.eventually import eventually
from tests.cluster.fleets import SERVED, TANDEM, Checkout, detached_fleet

# Each starts processes one after the other, which a busy machine takes its time for.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]
CALL = ("call", "utility-toolbox/MeasureText", '{"text": "one two"}')


@pytest.fixture
async def fleet() -> AsyncIterator[Checkout]:
    async with detached_fleet() as checkout:
        yield checkout


def is_locked(path: Path) -> bool:
    """Whether a command holds it."""
    try:
        with alone(path):
            return False
    except InUse:
        return True


async def test_m021_a_fleet_comes_up_within_two_minutes() -> None:
    """Layer by layer, to the last agent that serves: measured, though it takes seconds."""
    began_s = stopwatch_s()
    async with detached_fleet():
        assert stopwatch_s() - began_s < 120


async def test_a_fleet_comes_up_detached_and_goes_down(fleet: Checkout) -> None:
    """Each host is a process; `down` leaves none, and says so the second time."""
    before = fleet.pids()
    assert set(before) == {"control", "agents", "supervisor", "keeper"}
    assert (await fleet.tandem(*CALL)).returncode == 0
    ended = await fleet.told("down")
    assert set(ended["hosts"]) == {"control", "agents"}
    assert fleet.pids() == {}
    assert (await fleet.told("down"))["hosts"] == []


async def test_a_second_up_changes_only_what_differs(fleet: Checkout) -> None:
    """A host whose settings changed is another process, and the others are those that they were."""
    before = fleet.pids()
    assert (await fleet.told("up", "-d"))["changes"] == []
    assert fleet.pids() == before
    write_checkout(fleet.folder, SERVED, {"utility-toolbox": {"text_bytes_max": 1000}})
    told = await fleet.told("up", "-d")
    assert [change["host"] for change in told["changes"]] == ["agents"]
    after = fleet.pids()
    assert after["agents"] != before["agents"]
    assert {**after, "agents": 0} == {**before, "agents": 0}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_hosts_go_on_without_their_supervisor_and_are_taken_over(
    fleet: Checkout, number: signal.Signals
) -> None:
    """Its keeper starts another one, dead or frozen; not one host is started again."""
    before = fleet.pids()
    os.kill(before["supervisor"], number)
    assert (await fleet.tandem(*CALL)).returncode == 0
    await fleet.until_replaced("supervisor", before["supervisor"], within_s=20)
    told = await fleet.told("up", "-d")
    assert told["changes"] == []
    after = fleet.pids()
    assert {**after, "supervisor": 0} == {**before, "supervisor": 0}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_down_works_without_supervisor_and_keeper(
    fleet: Checkout, number: signal.Signals
) -> None:
    """Also if both are frozen, and it says that it went past them."""
    before = fleet.pids()
    os.kill(before["keeper"], number)
    os.kill(before["supervisor"], number)
    ended = await fleet.told("down")
    assert set(ended["hosts"]) == {"control", "agents"}
    assert ended["without_supervisor"]
    assert fleet.pids() == {}


async def test_two_commands_that_start_a_fleet_at_once_start_one(fleet: Checkout) -> None:
    """The second one finds what the first has begun, and neither ends it."""
    await fleet.told("down")
    told = await asyncio.gather(*(fleet.told("up", "-d") for _ in range(2)))
    assert all(one["serving"] for one in told)
    assert set(fleet.pids()) == {"control", "agents", "supervisor", "keeper"}


async def test_who_interrupts_an_up_that_waits_ends_no_fleet_that_was_there(
    fleet: Checkout,
) -> None:
    """Also while the supervisor does not answer, so that nothing is known of it yet."""
    before = fleet.pids()
    os.kill(before["keeper"], signal.SIGSTOP)
    os.kill(before["supervisor"], signal.SIGSTOP)
    command = Command((*TANDEM, "up"), fleet.folder / "up.log", env=fleet.variables)
    async with supervised_process(command) as attached:

        async def waits() -> bool:
            return is_locked(fleet.home.run / "command.lock")

        await eventually(waits, lambda found: found)
        os.kill(attached.pid, signal.SIGINT)
        assert await attached.wait() == 0
    assert fleet.pids() == before


async def test_down_goes_on_by_itself_if_nobody_is_left_who_ends_the_fleet(
    fleet: Checkout,
) -> None:
    """Supervisor and keeper are killed while the hosts drain."""
    before = fleet.pids()
    os.kill(before["agents"], signal.SIGSTOP)
    ending = asyncio.gather(fleet.told("down"))

    async def is_ending() -> bool:
        return fleet.home.is_ending

    await eventually(is_ending, lambda found: found)
    for name in ("keeper", "supervisor"):
        os.kill(before[name], signal.SIGKILL)
    (ended,) = await ending
    assert ended["without_supervisor"]
    assert fleet.pids() == {}


async def test_a_supervisor_that_cannot_start_leaves_its_hosts_alone(fleet: Checkout) -> None:
    """Whoever asked is told why; once it can, they are taken over as they are."""
    before = fleet.pids()
    for name in ("keeper", "supervisor"):
        fleet.kill(name)
    fleet.home.lock.unlink()
    fleet.home.lock.mkdir()
    refused = await fleet.tandem("up", "-d")
    assert refused.returncode == 1
    assert "did not start" in refused.stderr
    hosts = {name: before[name] for name in ("agents", "control")}
    assert fleet.pids() == hosts
    fleet.home.lock.rmdir()
    assert (await fleet.told("up", "-d"))["serving"]
    assert fleet.pids().items() >= hosts.items()


async def test_control_is_not_moved_by_an_up_that_finds_it(fleet: Checkout) -> None:
    """It says where it is; the port that it has may be asked for again."""
    before = fleet.pids()
    moved = await fleet.tandem("up", "-d", "--address", "127.0.0.1:1")
    assert moved.returncode == 2
    assert "has its control at" in moved.stderr
    address = (await fleet.told("up", "-d"))["address"]
    assert (await fleet.told("up", "-d", "--address", address))["changes"] == []
    assert fleet.pids() == before
