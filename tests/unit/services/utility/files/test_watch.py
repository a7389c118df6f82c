import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.utility.files.inotify import Event, Inotify
from services.utility.files.listing import Walk
from services.utility.files.paths import Parts
from services.utility.files.store import Store
from services.utility.files.watch import Look, Watch, differences
from tandem.utility.v1 import file_pb2 as pb
from tandemkit.core.errors import CallerError
from tests.unit.services.utility.files.calls import delete, make_folder, move, reason_of, write

Told = list[tuple[str, str, str]]


@contextmanager
def _armed(store: Store, path: str = "", *, recursive: bool = True) -> Iterator[Watch]:
    with closing(Watch(store.walk(path, recursive=recursive))) as watch:
        watch.arm()
        yield watch


def _told(look: Look) -> Told:
    return [
        (pb.FileChangeKind.Name(one.kind)[17:].lower(), one.source_path, one.file.path)
        for one in look.changes
    ]


def test_our_own_changes_are_told(store: Store) -> None:
    """Each kind of operation, and its undo, is one change of the kind that a reader expects."""
    make_folder(store, "0", "folder")
    with _armed(store) as watch:
        write(store, "1", "folder/a", b"1")
        assert _told(watch.look()) == [("created", "", "folder/a")]
        write(store, "2", "folder/a", b"2")
        assert _told(watch.look()) == [("modified", "", "folder/a")]
        move(store, "3", "folder/a", "b")
        assert _told(watch.look()) == [("moved", "folder/a", "b")]
        delete(store, "4", "b")
        assert _told(watch.look()) == [("deleted", "", "b")]
        store.history.undo("4")
        assert _told(watch.look()) == [("created", "", "b")]


def test_changes_by_others_are_told(store: Store, root: Path) -> None:
    """What any process does below the root is seen, in place writes and renames too."""
    (root / "file").write_bytes(b"1")
    with _armed(store) as watch:
        (root / "file").write_bytes(b"22")
        (root / "new").write_bytes(b"")
        assert _told(watch.look()) == [("modified", "", "file"), ("created", "", "new")]
        (root / "new").rename(root / "file")
        assert _told(watch.look()) == [("modified", "", "file"), ("deleted", "", "new")]


def test_a_folder_comes_with_what_it_holds(store: Store, root: Path) -> None:
    """What was put into a new folder before it could be watched is told, and what follows."""
    with _armed(store) as watch:
        (root / "a" / "b").mkdir(parents=True)
        (root / "a" / "b" / "early").write_bytes(b"")
        assert _told(watch.look()) == [
            ("created", "", "a"),
            ("created", "", "a/b"),
            ("created", "", "a/b/early"),
        ]
        (root / "a" / "b" / "late").write_bytes(b"")
        assert _told(watch.look()) == [("created", "", "a/b/late")]


class CrowdedWalk(Walk):
    """While a folder is read, somebody puts a file into it, too late to be read."""

    def names(self, folder: Parts) -> list[str]:
        names = super().names(folder)
        with self.jail.folder(folder) as descriptor:
            os.close(os.open("late", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        return names


def test_what_comes_while_the_watch_is_armed_is_told(store: Store, root: Path) -> None:
    """Nothing falls between reading a folder and watching it."""
    (root / "folder").mkdir()
    with closing(Watch(CrowdedWalk(store.jail, (), recursive=True, entries_max=99))) as watch:
        watch.arm()
        assert _told(watch.look()) == [("created", "", "folder/late"), ("created", "", "late")]


def test_a_moved_folder_stays_watched_under_its_new_path(store: Store, root: Path) -> None:
    """After a move the events of a folder are told with the path that it has now."""
    (root / "old" / "inner").mkdir(parents=True)
    with _armed(store) as watch:
        (root / "old").rename(root / "new")
        assert _told(watch.look()) == [("moved", "old", "new"), ("moved", "old/inner", "new/inner")]
        (root / "new" / "inner" / "file").write_bytes(b"")
        assert _told(watch.look()) == [("created", "", "new/inner/file")]


def test_a_folder_that_left_is_watched_no_more(store: Store, root: Path, tmp_path: Path) -> None:
    """What happens in a folder after it was moved out of the root is nobody's business here."""
    (root / "folder").mkdir()
    with _armed(store) as watch:
        (root / "folder").rename(tmp_path / "outside")
        assert _told(watch.look()) == [("deleted", "", "folder")]
        (tmp_path / "outside" / "file").write_bytes(b"")
        assert _told(watch.look()) == []


def test_what_comes_and_goes_between_two_looks_is_not_told(store: Store, root: Path) -> None:
    """The stream tells states: a file that is as it was has not changed."""
    with _armed(store) as watch:
        (root / "brief").write_bytes(b"")
        (root / "brief").unlink()
        assert _told(watch.look()) == []


def test_links_are_not_followed(store: Store, root: Path, tmp_path: Path) -> None:
    """A link is a name; what happens behind it is not seen."""
    (tmp_path / "outside").mkdir()
    (root / "before").symlink_to(tmp_path / "outside")
    with _armed(store) as watch:
        (root / "after").symlink_to(tmp_path / "outside")
        assert _told(watch.look()) == [("created", "", "after")]
        (tmp_path / "outside" / "secret").write_bytes(b"")
        assert _told(watch.look()) == []


def test_a_plain_watch_stays_in_its_folder(store: Store, root: Path) -> None:
    """Without `recursive`, folders below are names like others."""
    (root / "top" / "below").mkdir(parents=True)
    with _armed(store, "top", recursive=False) as watch:
        (root / "top" / "below" / "deep").write_bytes(b"")
        (root / "beside").write_bytes(b"")
        (root / "top" / "here").write_bytes(b"")
        assert _told(watch.look()) == [("created", "", "top/here")]


@pytest.mark.parametrize("gone", ["a/b", "a"])
def test_the_watch_ends_when_its_folder_loses_its_path(store: Store, root: Path, gone: str) -> None:
    """Moving or deleting the watched folder, or one above it, is the last thing told."""
    (root / "a" / "b").mkdir(parents=True)
    with _armed(store, "a/b") as watch:
        (root / gone).rename(root / "elsewhere")
        assert watch.look().gone
    (root / "elsewhere").rename(root / gone)
    with _armed(store, "a/b") as watch:
        (root / "a" / "b").rmdir()
        assert watch.look().gone


class OverflowingInotify(Inotify):
    """Loses every event and says so, as the kernel does when its queue is full."""

    def events(self) -> list[Event]:
        lost = super().events()
        return [Event(-1, "", overflowed=True, folder_gone=False)] if lost else []


def test_nothing_that_lasts_is_lost_in_an_overflow(store: Store, root: Path) -> None:
    """When events were lost all is looked at: the differences are told, and the gap too."""
    (root / "kept" / "inner").mkdir(parents=True)
    (root / "gone").write_bytes(b"")
    watch = Watch(store.walk("", recursive=True))
    watch._inotify = OverflowingInotify()
    with closing(watch):
        watch.arm()
        (root / "gone").unlink()
        (root / "kept" / "inner" / "new").write_bytes(b"")
        look = watch.look()
        assert look.overflowed
        assert _told(look) == [("deleted", "", "gone"), ("created", "", "kept/inner/new")]
        (root / "kept" / "inner" / "new").unlink()
        assert _told(watch.look()) == [("deleted", "", "kept/inner/new")]


def test_the_kernel_itself_reports_an_overflow(store: Store, root: Path) -> None:
    """More events than the kernel keeps arrive as one overflow, not as silence."""
    queue_max = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queue_max > 20_000:
        pytest.skip("this kernel keeps too many events to overflow it in a test")
    (root / "file").write_bytes(b"")
    with _armed(store) as watch:
        for _ in range(queue_max // 2 + 1):
            # Two different events each, which the kernel does not fold into one.
            os.utime(root / "file")
            os.truncate(root / "file", 0)
        (root / "last").write_bytes(b"")
        looks = [watch.look()]
        while not looks[-1].overflowed:
            looks.append(watch.look())
        told = [one for look in looks for one in _told(look)]
        assert ("created", "", "last") in told


def test_a_watch_over_too_many_names_is_refused(store: Store, root: Path) -> None:
    """A watch holds no more names than the limit, from the start and later."""
    for name in "abc":
        (root / name).mkdir()
    with closing(Watch(Walk(store.jail, (), recursive=True, entries_max=4))) as watch:
        watch.arm()
        (root / "a" / "d").mkdir()
        watch.look()
        (root / "b" / "e").mkdir()
        with pytest.raises(CallerError) as raised:
            watch.look()
    assert reason_of(raised.value) == "TOO_MANY_ENTRIES"


def _state(etags: dict[str, str]) -> dict[tuple[str, ...], pb.File]:
    kind = pb.FILE_KIND_FILE
    return {(path,): pb.File(path=path, kind=kind, etag=etag) for path, etag in etags.items()}


states = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["1-0-0", "2-0-0", "3-0-0"]))


@given(before=states, after=states)
def test_differences_turn_one_state_into_the_other(
    before: dict[str, str], after: dict[str, str]
) -> None:
    """Applying what is told to the old state gives the new one, whatever the two are."""
    replayed = dict(before)
    changes = differences(_state(before), _state(after))
    for change in changes:
        if change.kind == pb.FILE_CHANGE_KIND_MOVED:
            assert before[change.source_path] == change.file.etag
            del replayed[change.source_path]
        elif change.kind == pb.FILE_CHANGE_KIND_DELETED:
            del replayed[change.file.path]
    for change in changes:
        if change.kind != pb.FILE_CHANGE_KIND_DELETED:
            replayed[change.file.path] = change.file.etag
    assert replayed == after
    assert [one.file.path for one in changes] == sorted(one.file.path for one in changes)
