"""Checkpoints of fleets that run, and what becomes of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tandem.control.v1 import checkpoint_pb2 as pb
from tandemkit.core.clock import stopwatch_s
from tandemkit.machine.checkpoints.shelf import Shelf
from tandemkit.testing.checkouts import write_checkout
from tests.cluster.aloud import Tell
from tests.cluster.checkpointed import (
    AGENTS,
    DECLARED,
    KEY,
    SETTINGS,
    STORE,
    Told,
    faults_of,
    flip,
    killed_when,
    step_of,
    writing,
)
from tests.cluster.eventually import eventually
from tests.cluster.fleets import TANDEM, Checkout, detached_fleet

# A fleet starts several times in each.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
_CONFIG = "platform-config-server"


@pytest.fixture
async def fleet() -> AsyncIterator[Checkout]:
    async with detached_fleet(AGENTS, SETTINGS) as checkout:
        yield checkout


async def written(fleet: Checkout, count: int) -> Told:
    """So many more numbers, one after the other."""
    async with writing(fleet) as writer:
        writer.told = await writer.found()
        for _ in range(count):
            await writer.write()
        return writer.told


async def found(fleet: Checkout) -> Told:
    async with writing(fleet) as writer:
        return await writer.found()


async def test_m033_a_corrupted_store_is_restored_verified_and_serves_within_a_minute(
    fleet: Checkout, tell: Tell
) -> None:
    """Under load, with a write in flight, while the checkpoint is made: what was acknowledged
    before is there, and no store is ahead of the one that was written before it.
    """
    async with writing(fleet) as writer, writer.running() as told:
        while told.event < 50:
            await writer.found()
        before = told.event
        made = await fleet.told("checkpoint", "kept")
        assert told.event > before
    # SQLite's journal is in the file then, and hides nothing of it.
    await fleet.tandem("down")
    store = fleet.home.folder / STORE
    with store.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    await fleet.tandem("up", "-d", "--within-s", "5")
    broken = await fleet.tandem("verify", "--json")
    assert broken.returncode == 1
    assert any(one.startswith(STORE) for one in faults_of(broken.stdout))
    began_s = stopwatch_s()
    done = await fleet.told("restore", "kept", "--yes")
    took_s = stopwatch_s() - began_s
    assert done["serving"]
    assert took_s < 60
    now = await found(fleet)
    assert before <= now.event <= now.value <= now.event + 1
    assert (await fleet.told("verify"))["sound"]
    tell("restored, verified and serving, s", round(took_s, 1))
    tell("writers had waited for the checkpoint, ms", round(1e3 * made["pause_s"], 1))


async def test_a_restore_is_taken_back_by_a_rollback(fleet: Checkout) -> None:
    """And both are events, with who and why."""
    kept = await written(fleet, 3)
    await fleet.told("checkpoint", "kept", "--author", "ana", "--reason", "trying")
    later = await written(fleet, 4)
    back = await fleet.told("rollback", "--yes", "--smoke", "platform-event-store/ReadEvents {}")
    assert (back["restored"], await found(fleet)) == ("kept", kept)
    undone = await fleet.told("rollback", "--undo", "--yes")
    assert (undone["restored"], await found(fleet)) == (back["aside"], later)

    async def told() -> list[str]:
        said = await fleet.tandem("events", "--stream", "machines/", "--json")
        events = [json.loads(line)["content"] for line in said.stdout.splitlines()]
        return [name for one in events for name in one if name.startswith("checkpoint_")]

    wanted = ["checkpoint_taken", "checkpoint_restored"]
    assert await eventually(told, lambda names: names[-2:] == wanted) == wanted


async def test_a_smoke_test_that_fails_is_named(fleet: Checkout) -> None:
    """The state is restored all the same, and the command says no."""
    await fleet.told("checkpoint", "kept")
    done = await fleet.tandem(
        "restore", "kept", "--yes", "--json", "--smoke", 'ConfigServer/GetConfigValue {"key": "x"}'
    )
    assert done.returncode == 1
    told = json.loads(done.stdout)
    (failed,) = [one for one in told["trials"] if one["failed"]]
    assert failed["trial"].startswith("call ConfigServer/GetConfigValue")
    assert not told["serving"]


async def test_a_fleet_that_runs_is_not_ended_without_a_word(fleet: Checkout) -> None:
    """Nor is anything restored that is damaged, or of another version by a rollback."""
    await fleet.told("checkpoint", "kept")
    before = fleet.pids()
    asked = await fleet.tandem("restore", "kept")
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    (fleet.folder / "pins.txt").write_text("another==1.0\n")
    await fleet.told("checkpoint", "later")
    await fleet.told("up", "-d")
    await fleet.told("checkpoint", "of-new-pins")
    (fleet.folder / "pins.txt").write_text("another==2.0\n")
    other = await fleet.tandem("rollback", "--yes")
    assert other.returncode == 1
    assert "the third-party packages" in other.stderr
    store = Shelf(fleet.home).kept("kept").files / STORE
    flip(store, 5000)
    damaged = await fleet.tandem("restore", "kept", "--yes")
    assert damaged.returncode == 1
    assert f"{STORE}: bytes 4096 to 8191, page 2" in damaged.stderr
    assert fleet.pids() == before


async def test_a_disk_that_is_full_leaves_no_checkpoint(fleet: Checkout) -> None:
    """And the fleet serves as before."""
    await written(fleet, 3)
    limited = ("sh", "-c", 'ulimit -f 16; exec "$@"', "sh", *TANDEM)
    done = await fleet.run(*limited, "checkpoint", "kept")
    assert done.returncode == 2
    assert "the disk is full" in done.stderr
    assert Shelf(fleet.home).names() == []
    assert (await fleet.told("status"))["serving"]
    assert (await written(fleet, 3)).event == 6


async def test_what_kill_9_leaves_of_a_checkpoint_is_none(fleet: Checkout) -> None:
    """The next one is made as if nothing had been."""
    big = fleet.home.state / "trial" / "big"
    big.parent.mkdir()
    big.write_bytes(bytes(64 * 1024 * 1024))
    shelf = Shelf(fleet.home)
    await killed_when(fleet, lambda: any(shelf.folder.glob(".making-*/files/*")), "checkpoint", "a")
    assert shelf.names() == []
    assert (await written(fleet, 3)).event == 3
    await fleet.told("checkpoint", "b")
    assert shelf.names() == ["b"]
    assert not list(shelf.folder.glob(".making-*"))


@pytest.mark.parametrize(
    "step", [pb.RESTORE_STEP_LAID_OUT, pb.RESTORE_STEP_STOPPED, pb.RESTORE_STEP_SWAPPED]
)
async def test_a_restore_that_was_killed_ends_well_when_it_is_run_again(
    fleet: Checkout, step: pb.RestoreStep.ValueType
) -> None:
    """Whichever step it had come to."""
    kept = await written(fleet, 3)
    await fleet.told("checkpoint", "kept")
    await written(fleet, 4)
    home = fleet.home
    await killed_when(fleet, lambda: step_of(home) >= step, "restore", "kept", "--yes")
    if step >= pb.RESTORE_STEP_SWAPPING:
        refused = await fleet.tandem("up", "-d")
        assert refused.returncode == 1
        assert "./tandem restore kept goes on" in refused.stderr
    done = await fleet.told("restore", "kept", "--yes")
    assert done["serving"]
    assert await found(fleet) == kept
    assert step_of(home) == pb.RESTORE_STEP_UNSPECIFIED
    assert (await fleet.told("verify", done["aside"]))["sound"]


async def test_an_undo_that_was_killed_undoes_the_same_when_it_is_run_again(
    fleet: Checkout,
) -> None:
    """And not what it had kept aside itself."""
    await written(fleet, 3)
    await fleet.told("checkpoint", "kept")
    later = await written(fleet, 4)
    back = await fleet.told("restore", "kept", "--yes")
    aside = pb.RESTORE_STEP_KEPT_ASIDE
    undo = ("rollback", "--undo", "--yes")
    await killed_when(fleet, lambda: step_of(fleet.home) >= aside, *undo)
    done = await fleet.told(*undo)
    assert (done["restored"], await found(fleet)) == (back["aside"], later)


async def test_r131_what_ran_is_kept_before_another_version_replaces_it(fleet: Checkout) -> None:
    """And nothing is where nothing is replaced."""
    assert (await fleet.told("up", "-d"))["checkpoint"] == ""
    kept = await written(fleet, 3)
    more = {**DECLARED, "key": f"{KEY}.other"}
    write_checkout(fleet.folder, AGENTS, {_CONFIG: {"inline": {"declarations": [DECLARED, more]}}})
    done = await fleet.told("up", "-d")
    assert [one["host"] for one in done["changes"]] == ["agents"]
    assert done["checkpoint"].startswith("before-deployment-")
    await written(fleet, 3)
    back = await fleet.told("rollback", "--yes")
    assert (back["restored"], await found(fleet)) == (done["checkpoint"], kept)
    # The settings of then run again.
    unknown = await fleet.tandem("call", "ConfigServer/GetConfigValue", "--key", f"{KEY}.other")
    assert unknown.returncode == 1
