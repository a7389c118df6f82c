"""Calls to the core, as the servicer makes them, without a server."""

from datetime import UTC, datetime

from services.utility.files.journal import Entry, microseconds
from services.utility.files.reading import Span
from services.utility.files.store import Store
from services.utility.files.uploads import Precondition, Upload
from tandem.utility.v1 import errors_pb2 as errors
from tandem.utility.v1 import file_pb2 as pb
from tandemkit.core.errors import CallerError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def call(
    request_id: str, kind: pb.FileOperationKind.ValueType, path: str, source_path: str = ""
) -> Entry:
    return Entry(request_id, kind, path, source_path, microseconds(NOW))


def write(
    store: Store, request_id: str, path: str, content: bytes, *, etag: str = "", new: bool = False
) -> Entry:
    entry = call(request_id, pb.FILE_OPERATION_KIND_WRITE, path)
    upload = Upload(store.desk, entry, Precondition(etag, must_be_new=new))
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


def tree(store: Store) -> dict[str, bytes | None]:
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
