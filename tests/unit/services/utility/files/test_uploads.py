import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.utility.files.limits import Limits
from services.utility.files.paths import TRASH_NAME
from services.utility.files.reading import Span
from services.utility.files.store import Store, opened
from services.utility.files.uploads import Precondition
from tandem.utility.config.v1 import files_pb2 as cfg
from tandemkit.core.errors import CallerError
from tests.unit.services.utility.files.calls import (
    NOW,
    content,
    delete,
    make_folder,
    reason_of,
    tree,
    write,
)


def _slots(root: Path) -> list[Path]:
    return list((root / TRASH_NAME).iterdir())


@pytest.fixture
def small(tmp_path: Path, root: Path) -> Iterator[Store]:
    limits = Limits.of(cfg.FilesSettings(file_bytes_max=10, quota_bytes_max=20))
    with opened(root, tmp_path / "small.sqlite", limits) as store:
        yield store


def test_a_file_over_the_limit_leaves_nothing(small: Store, root: Path) -> None:
    """What grows past the limit is refused while it comes in, and nothing of it stays."""
    with pytest.raises(CallerError) as raised:
        write(small, "one", "file", b"x" * 11)
    assert reason_of(raised.value) == "TOO_LARGE"
    assert (tree(small), _slots(root)) == ({}, [])
    write(small, "one", "file", b"x" * 10)


def test_the_quota_counts_the_trash_until_it_is_purged(small: Store) -> None:
    """Deleting frees nothing, purging does: the promise to undo has its price."""
    write(small, "one", "file", b"x" * 10)
    delete(small, "two", "file")
    write(small, "three", "file", b"x" * 10)
    with pytest.raises(CallerError) as raised:
        write(small, "four", "other", b"x")
    assert reason_of(raised.value) == "QUOTA_EXCEEDED"
    assert small.retention.purge_before(NOW.replace(year=2027)).freed_bytes == 10
    write(small, "four", "other", b"x")


def test_the_quota_counts_what_others_wrote(small: Store, root: Path) -> None:
    """Files that came by another way count from the next sweep on, and those that went do not."""
    (root / "foreign").write_bytes(b"x" * 20)
    small.recount()
    with pytest.raises(CallerError):
        write(small, "one", "file", b"x")
    (root / "foreign").unlink()
    small.recount()
    write(small, "one", "file", b"x")


def test_a_write_may_demand_what_is_there(store: Store) -> None:
    """With an etag only that version is replaced, and with must_be_new nothing is."""
    first = write(store, "one", "file", b"first", Precondition(must_be_new=True))
    second = write(store, "two", "file", b"second", Precondition(first.etag))
    reasons = []
    for precondition in (Precondition(first.etag), Precondition(must_be_new=True)):
        with pytest.raises(CallerError) as raised:
            write(store, "three", "file", b"third", precondition)
        reasons.append(reason_of(raised.value))
    with pytest.raises(CallerError) as raised:
        write(store, "three", "nothing", b"third", Precondition(second.etag))
    assert [*reasons, reason_of(raised.value)] == ["ETAG_MISMATCH", "FILE_EXISTS", "FILE_NOT_FOUND"]
    assert content(store, "file") == b"second"


def test_a_write_needs_a_folder_and_a_file_name(store: Store) -> None:
    """A folder is not replaced, none is made on the way, and a file is none."""
    make_folder(store, "one", "folder")
    write(store, "two", "file", b"")
    reasons = []
    for path in ("folder", "missing/file", "file/below"):
        with pytest.raises(CallerError) as raised:
            write(store, "three", path, b"content")
        reasons.append(reason_of(raised.value))
    assert reasons == ["NOT_A_FILE", "FILE_NOT_FOUND", "NOT_A_FOLDER"]


def test_an_overwritten_file_keeps_its_permissions(store: Store, root: Path) -> None:
    """New content does not make a private file public, nor a script lifeless."""
    write(store, "one", "file", b"first")
    (root / "file").chmod(0o750)
    write(store, "two", "file", b"second")
    assert (root / "file").stat().st_mode & 0o777 == 0o750


def test_a_reader_sees_one_version_to_its_end(store: Store) -> None:
    """A file that is overwritten and even purged while it is read is read as it was."""
    write(store, "one", "file", b"a" * 200_000)
    pieces = store.read(Span("file"))
    file, first = next(pieces), next(pieces)
    write(store, "two", "file", b"b" * 200_000)
    store.retention.purge_one("two")
    rest = b"".join(piece for piece in pieces if isinstance(piece, bytes))
    assert isinstance(first, bytes)
    assert first + rest == b"a" * 200_000
    assert not isinstance(file, bytes)
    assert file.size_bytes == 200_000


def test_a_change_in_place_fails_the_read(store: Store, root: Path) -> None:
    """A mixture of two versions is never passed off as one."""
    write(store, "one", "file", b"a" * 200_000)
    pieces = store.read(Span("file"))
    next(pieces)
    with (root / "file").open("r+b") as file:
        file.write(b"b")
    os.utime(root / "file", ns=(0, 0))
    with pytest.raises(CallerError) as raised:
        list(pieces)
    assert reason_of(raised.value) == "CHANGED_WHILE_READ"


def test_ranges_and_versions_can_be_asked_for(small: Store, root: Path) -> None:
    """A large file is read by ranges, and an interrupted read goes on with the same version or not
    at all.
    """
    (root / "large").write_bytes(b"0123456789abcdef")
    assert b"".join(p for p in small.read(Span("large", 4, 3)) if isinstance(p, bytes)) == b"456"
    assert [p for p in small.read(Span("large", 99)) if isinstance(p, bytes)] == []
    reasons = []
    for span in (Span("large"), Span("large", etag="other"), Span(""), Span("none")):
        with pytest.raises(CallerError) as raised:
            list(small.read(span))
        reasons.append(reason_of(raised.value))
    assert reasons == ["TOO_LARGE", "ETAG_MISMATCH", "NOT_A_FILE", "FILE_NOT_FOUND"]
