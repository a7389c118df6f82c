"""What commands do in a home whose restore was interrupted half way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from tandem.control.v1 import checkpoint_pb2 as pb
from tandemkit.cli.checkpoint import checkpoint
from tandemkit.cli.output import Refusal
from tandemkit.cli.restore import restore
from tandemkit.machine.checkpoints.restoring import Restore
from tandemkit.machine.checkpoints.shelf import Shelf
from tandemkit.machine.home import Home
from tandemkit.testing.checkouts import write_checkout
from tests.unit.tandemkit.machine.checkpoints.stores import home_with_stores, taken


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """`kept` is about to be swapped in, and was to be started with a plan that cannot."""
    write_checkout(tmp_path, (REGISTRY, MACHINE))
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path))
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path / "home"))
    found = await home_with_stores(tmp_path)
    kept = taken(found)
    taken(found, "aside")
    under_way = Restore(found)
    journal = pb.RestoreJournal(checkpoint="kept", aside="aside")
    journal.wanted.machine = "none"
    under_way.begin(journal)
    under_way.lay_out(kept, lambda _: None)
    under_way.note(journal, pb.RESTORE_STEP_SWAPPING)
    return found


def refused(*arguments: str) -> str:
    with pytest.raises(Refusal) as told:
        CliRunner().invoke(checkpoint, arguments, catch_exceptions=False)
    return told.value.message


def test_no_checkpoint_is_made_of_a_home_that_is_half_of_two_states(home: Home) -> None:
    """It would be sound, and the last stable one."""
    assert "./tandem restore kept goes on" in refused("another")
    assert Shelf(home).names() == ["aside", "kept"]


@pytest.mark.parametrize("name", ["kept", "aside"])
def test_what_an_interrupted_restore_needs_is_not_deleted(home: Home, name: str) -> None:
    """Nothing else could ever end it."""
    assert "./tandem restore kept goes on" in refused("delete", "--yes", name)
    assert Shelf(home).names() == ["aside", "kept"]


def test_a_restore_that_cannot_start_its_fleet_ends_without_one(home: Home) -> None:
    """By --no-start, whatever was asked for when it began."""
    arguments = ["kept", "--no-start", "--force", "--json"]
    done = CliRunner().invoke(restore, arguments, standalone_mode=False, catch_exceptions=False)
    assert done.return_value == 0
    assert not json.loads(done.stdout)["serving"]
    assert Restore(home).journal is None
