import os
from collections.abc import Callable
from pathlib import Path

import pytest

from services.utility.files.limits import Limits
from services.utility.files.paths import TRASH_NAME
from services.utility.files.store import Store, opened
from tandem.utility.config.v1 import files_pb2 as cfg
from tandem.utility.v1 import file_pb2 as pb
from tandemkit.core.errors import Bug, CallerError, TransientError
from tests.unit.services.utility.files.calls import (
    CHANGES,
    NOW,
    call,
    content,
    delete,
    make_folder,
    reason_of,
    seed,
    tree,
    write,
)

LIMITS = Limits.of(cfg.FilesSettings())


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_can_be_undone_after_a_restart(
    tmp_path: Path, root: Path, change: Callable[[Store], object]
) -> None:
    """Another process undoes what an earlier one did, and all is as it was."""
    with opened(root, tmp_path / "journal.sqlite", LIMITS) as store:
        seed(store)
        before = tree(store)
        change(store)
        assert tree(store) != before
    with opened(root, tmp_path / "journal.sqlite", LIMITS) as store:
        undone = store.history.undo("change")
        assert tree(store) == before
        assert store.history.undo("change") == undone
        assert tree(store) == before


def test_the_same_request_is_carried_out_once(store: Store) -> None:
    """A retry with the same id is answered as the first call was, and changes nothing."""
    first = write(store, "one", "file", b"first")
    write(store, "two", "file", b"second")
    assert write(store, "one", "file", b"first") == first
    assert content(store, "file") == b"second"


def test_a_request_id_belongs_to_one_call(store: Store) -> None:
    """Another call with a used id is refused, not taken for the first."""
    write(store, "one", "file", b"first")
    with pytest.raises(CallerError) as raised:
        delete(store, "one", "file")
    assert reason_of(raised.value) == "REQUEST_ID_TAKEN"
    assert raised.value.metadata == {"rule": "other_call"}
    assert content(store, "file") == b"first"


def test_a_request_in_progress_is_not_started_twice(store: Store) -> None:
    """While the first call still runs, its retry is told to come back."""
    store.history.claim(call("one", pb.FILE_OPERATION_KIND_WRITE, "file"))
    with pytest.raises(TransientError) as raised:
        write(store, "one", "file", b"again")
    assert raised.value.metadata == {"rule": "in_progress"}


def test_a_failed_request_leaves_its_id_free(store: Store) -> None:
    """What did not happen is not remembered: the same request may succeed later."""
    with pytest.raises(CallerError):
        write(store, "one", "folder/file", b"content")
    make_folder(store, "two", "folder")
    write(store, "one", "folder/file", b"content")
    assert content(store, "folder/file") == b"content"


def test_undo_does_not_sweep_away_what_came_after(store: Store, root: Path) -> None:
    """A write is not undone once somebody else wrote, deleted or moved the file."""
    write(store, "one", "file", b"first")
    write(store, "two", "file", b"second")
    with pytest.raises(CallerError) as raised:
        store.history.undo("one")
    assert reason_of(raised.value) == "CANNOT_UNDO"
    assert raised.value.metadata == {"rule": "changed_since"}
    (root / "file").write_bytes(b"in place")
    with pytest.raises(CallerError):
        store.history.undo("two")
    assert content(store, "file") == b"in place"


def test_undo_of_a_folder_keeps_what_was_put_into_it(store: Store) -> None:
    """A folder that holds something by now is not taken away."""
    make_folder(store, "one", "a/b")
    write(store, "two", "a/file", b"content")
    with pytest.raises(CallerError) as raised:
        store.history.undo("one")
    assert raised.value.metadata == {"rule": "folder_not_empty"}
    store.history.undo("two")
    store.history.undo("one")
    assert tree(store) == {}


def test_undo_of_a_deletion_does_not_overwrite(store: Store) -> None:
    """Where the old place is taken, the deleted file stays in the trash."""
    write(store, "one", "file", b"first")
    delete(store, "two", "file")
    write(store, "three", "file", b"other")
    with pytest.raises(CallerError) as raised:
        store.history.undo("two")
    assert reason_of(raised.value) == "FILE_EXISTS"
    store.history.undo("three")
    store.history.undo("two")
    assert content(store, "file") == b"first"


def test_what_was_purged_cannot_be_undone(store: Store) -> None:
    """A purge is for good, and says what it freed; a second one finds nothing."""
    write(store, "one", "file", b"12345")
    delete(store, "two", "file")
    assert store.retention.purge_one("two").freed_bytes == 5
    assert store.retention.purge_one("two").entries_count == 0
    with pytest.raises(CallerError) as raised:
        store.history.undo("two")
    assert raised.value.metadata == {"rule": "purged"}


def test_a_purge_takes_whole_trees_however_deep(store: Store, root: Path) -> None:
    """A tree deeper than the process has descriptors or stack for is destroyed all the same."""
    folder = os.open(root, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    delete(store, "one", "d", recursive=True)
    assert store.retention.purge_before(NOW.replace(year=2027)).entries_count == 1
    assert list((root / TRASH_NAME).iterdir()) == []


def test_a_purge_does_not_follow_links(store: Store, root: Path, tmp_path: Path) -> None:
    """Destroying a folder that holds a link destroys the link."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_bytes(b"")
    (root / "folder").mkdir()
    (root / "folder" / "link").symlink_to(tmp_path / "outside")
    delete(store, "one", "folder", recursive=True)
    store.retention.purge_one("one")
    assert (tmp_path / "outside" / "kept").exists()


def test_only_one_instance_owns_a_root(store: Store, tmp_path: Path, root: Path) -> None:
    """A second instance over the same root does not start: two would undo each other's work."""
    with pytest.raises(Bug), opened(root, tmp_path / "other.sqlite", LIMITS):
        pass
