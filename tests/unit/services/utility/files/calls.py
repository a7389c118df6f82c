"""Calls to the core, as the servicer makes them, without a server."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from services.utility.files.journal import Entry, microseconds
from services.utility.files.reading import Span
from services.utility.files.store import Store
from services.utility.files.uploads import Precondition, Upload
from tandem.utility.v1 import errors_pb2 as errors
from tandem.utility.v1 import file_pb2 as pb
from tandemkit.core.errors import CallerError

Tree: TypeAlias = dict[str, bytes | None]

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def call(
    request_id: str, kind: pb.FileOperationKind.ValueType, path: str, source_path: str = ""
) -> Entry:
    return Entry(request_id, kind, path, source_path, microseconds(NOW))


ANYTHING = Precondition()


def write(
    store: Store,
    request_id: str,
    path: str,
    content: bytes,
    precondition: Precondition = ANYTHING,
) -> Entry:
    entry = call(request_id, pb.FILE_OPERATION_KIND_WRITE, path)
    upload = Upload(store.desk, entry, precondition)
    try:
        known = upload.begin()
        if known is not None:
            return known
        upload.write(content)
        return upload.publish()
    finally:
        upload.abandon()


def delete(store: Store, request_id: str, path: str, *, recursive: bool = False) -> Entry:
    entry = call(request_id, pb.FILE_OPERATION_KIND_DELETE, path)
    return store.changes.delete(entry, "", recursive=recursive)


def move(store: Store, request_id: str, source_path: str, path: str) -> Entry:
    entry = call(request_id, pb.FILE_OPERATION_KIND_MOVE, path, source_path)
    return store.changes.move(entry, "")


def make_folder(store: Store, request_id: str, path: str) -> Entry:
    return store.changes.make_folder(call(request_id, pb.FILE_OPERATION_KIND_MAKE_FOLDER, path))


def content(store: Store, path: str) -> bytes:
    return b"".join(piece for piece in store.read(Span(path)) if isinstance(piece, bytes))


def tree(store: Store) -> Tree:
    """All paths below the root with their content; None for a folder."""
    files = store.walk("", recursive=True).files()
    return {
        file.path: None if file.kind == pb.FILE_KIND_FOLDER else content(store, file.path)
        for file in files
    }


def reason_of(error: CallerError) -> str:
    """As it goes over the wire."""
    reasons = errors.ErrorReason.DESCRIPTOR.values_by_number
    name: str = reasons[error.reason].name
    return name.removeprefix("ERROR_REASON_")


def seed(store: Store) -> None:
    """What `CHANGES` change."""
    write(store, "seed-1", "file", b"old")
    make_folder(store, "seed-2", "folder/inner")
    write(store, "seed-3", "folder/inner/leaf", b"leaf")


# One of each kind, all with the request id "change".
CHANGES: dict[str, Callable[[Store], object]] = {
    "create": lambda store: write(store, "change", "folder/new", b"new"),
    "overwrite": lambda store: write(store, "change", "file", b"new"),
    "make_folder": lambda store: make_folder(store, "change", "a/b/c"),
    "move_file": lambda store: move(store, "change", "file", "folder/moved"),
    "move_folder": lambda store: move(store, "change", "folder", "moved"),
    "delete_file": lambda store: delete(store, "change", "file"),
    "delete_folder": lambda store: delete(store, "change", "folder", recursive=True),
}
