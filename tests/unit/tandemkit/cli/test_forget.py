"""What `tandem forget` and `tandem export` say, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from tandem.memory.v1 import deletion_pb2 as nouns
from tandem.memory.v1 import subject_pb2 as subject
from tandemkit.cli.event_text import Schemas
from tandemkit.cli.export import export, record_of
from tandemkit.cli.forget import forget
from tandemkit.cli.forgetting import progress_of, screen, value_of
from tandemkit.cli.output import Refusal
from tandemkit.cli.restore import restore
from tandemkit.core.environment import Environment
from tandemkit.machine.checkpoints.forgotten import forgotten_since
from tandemkit.machine.checkpoints.restoring import Restore
from tandemkit.machine.checkpoints.shelf import Shelf
from tandemkit.machine.home import Home
from tandemkit.testing.checkouts import write_checkout
from tests.unit.tandemkit.machine.checkpoints.stores import home_with_stores, taken

STORE = "tandem.memory.v1.MemoryOrchestratorService"


def _deletion(*remains: str) -> nouns.Deletion:
    deletion = nouns.Deletion(name="deletions/one", state=nouns.DELETION_STATE_COMPLETE)
    deletion.salt = b"salt"
    deletion.keepers.add(agent=STORE, machine="pc2", confirmations=2, deleted=3)
    deletion.remains.extend(remains)
    return deletion


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        (forget, (), "name a SUBJECT"),
        (forget, ("ada", "--everything"), "name a SUBJECT"),
        (export, (), "name a SUBJECT"),
        (forget, ("ada", "--no-wait", "--checkpoints"), "--checkpoints waits"),
        (forget, ("ada",), "--yes deletes everything about ada in the namespace default"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    command: object, arguments: tuple[str, ...], said: str
) -> None:
    """Before anybody is asked; where nobody can be asked, a deletion needs its --yes."""
    assert command in {forget, export}
    chosen = forget if command is forget else export
    failed = CliRunner().invoke(chosen, [*arguments, "--address", "127.0.0.1:1"]).exception
    assert isinstance(failed, Refusal)
    assert said in failed.message


def test_a_deletion_is_told_with_what_remains() -> None:
    """Checkpoints from before among it; a digest is nobody's to read."""
    done = _deletion("a server keeps its log")
    text = screen(done, ["old"], [])
    assert "3 deleted, confirmed by 1 agents" in text
    assert "remains: a server keeps its log" in text
    assert "may hold it: old" in text
    assert "deleted checkpoints: old" in screen(done, [], ["old"])
    value = value_of(done, ["old"], [])
    assert value["checkpoints_held"] == ["old"]
    assert "salt" not in value


def test_progress_says_who_is_waited_for() -> None:
    """By agent and machine."""
    going = nouns.Deletion(state=nouns.DELETION_STATE_DELETING)
    going.keepers.add(agent=STORE, machine="pc2", cause="it is not registered")
    going.keepers.add(agent=STORE, machine="mainpc", confirmations=1, deleted=2)
    going.keepers.add(agent=STORE, machine="third")
    assert progress_of(going) == [
        "waiting for MemoryOrchestrator on pc2: it is not registered",
        "MemoryOrchestrator on mainpc confirmed, 2 deleted",
    ]


def test_what_is_exported_is_read_by_its_contract() -> None:
    """And in base64 where this checkout has none."""
    schemas = Schemas.read(Environment.read({}))
    message = subject.SubjectRecord(name="inner")
    record = subject.SubjectRecord(
        agent=STORE,
        name="namespaces/default/memories/a",
        message_type=message.DESCRIPTOR.full_name,
        message=message.SerializeToString(),
    )
    assert record_of(record, schemas)["message"] == {"name": "inner"}
    record.message_type = "tandem.none.v1.Nothing"
    assert record_of(record, schemas)["message_base64"]


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """With a checkpoint, and a deletion behind it."""
    write_checkout(tmp_path, (REGISTRY, MACHINE))
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path))
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path / "home"))
    home = await home_with_stores(tmp_path)
    taken(home)
    log = nouns.DeletionLog()
    log.entries.add(name="deletions/one", complete=True).time.GetCurrentTime()
    place = home.state / "memory-namespace" / "deletions.binpb"
    place.parent.mkdir()
    place.write_bytes(log.SerializeToString())
    return home


def test_a_restore_that_would_bring_back_what_was_deleted_is_refused(home: Home) -> None:
    """Before anything of it is begun; whoever means it says so, and the list of deletions stays."""
    arguments = ["kept", "--no-start", "--force", "--author", "ana", "--reason", "trying"]
    failed = CliRunner().invoke(restore, arguments).exception
    assert isinstance(failed, Refusal)
    assert "would bring back what was deleted for good" in failed.message
    assert Restore(home).journal is None
    done = CliRunner().invoke(restore, [*arguments, "--bring-back-deleted"])
    assert done.exit_code == 0, done.output
    assert forgotten_since(home, Shelf(home).kept("kept").manifest)
