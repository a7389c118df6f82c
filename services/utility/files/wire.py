"""Between the messages of the contract and the core, where the core has types of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from services.utility.files.batching import batches, first_batch
from services.utility.files.globbing import line_pattern, name_pattern
from services.utility.files.journal import Entry, State
from services.utility.files.limits import Limits
from services.utility.files.search import Query, Tally
from services.utility.files.uploads import Precondition
from services.utility.files.watch import Look
from tandem.utility.v1 import errors_pb2 as errors
from tandem.utility.v1 import file_pb2 as nouns
from tandem.utility.v1 import files_service_pb2 as pb
from tandemkit.core.errors import CallerError

_PAGE_SIZE, _PAGE_SIZE_MAX = 100, 1000
_MATCHES, _MATCHES_MAX = 100, 10_000
_SEQUENCE_MAX = 2**63 - 1
_STATES = {
    State.DONE: nouns.FILE_OPERATION_STATE_DONE,
    # Seen only in passing: the undo, or the purge, is under way.
    State.UNDOING: nouns.FILE_OPERATION_STATE_DONE,
    State.UNDONE: nouns.FILE_OPERATION_STATE_UNDONE,
    State.PURGING: nouns.FILE_OPERATION_STATE_PURGED,
    State.PURGED: nouns.FILE_OPERATION_STATE_PURGED,
}


class Guarded(Protocol):
    """A request that may name what must hold."""

    etag: str
    must_be_new: bool


def operation(entry: Entry) -> nouns.FileOperation:
    message = nouns.FileOperation(
        name=f"operations/{entry.id}",
        kind=entry.kind,
        path=entry.path,
        source_path=entry.source_path,
        etag=entry.etag,
        size_bytes=entry.size_bytes,
        state=_STATES[entry.state],
    )
    message.create_time.FromMicroseconds(entry.created_us)
    return message


def trash_page(found: list[tuple[int, Entry]], size: int) -> pb.ListTrashResponse:
    """Of one entry more than a page holds, if there are that many."""
    trashed = [nouns.TrashedFile(name=f"trash/{e.id}", operation=operation(e)) for _, e in found]
    page, beyond = first_batch(trashed, size)
    token = "" if beyond is None else str(found[len(page) - 1][0])
    return pb.ListTrashResponse(trashed_files=page, next_page_token=token)


def id_of(name: str) -> str:
    """Of `operations/{id}` and `trash/{id}`; the contract's rules have seen the form."""
    return name.partition("/")[2]


def precondition(request: Guarded) -> Precondition:
    return Precondition(etag=request.etag, must_be_new=request.must_be_new)


def page_size(asked: int) -> int:
    return min(asked or _PAGE_SIZE, _PAGE_SIZE_MAX)


def sequence(page_token: str) -> int:
    """Where a page of the trash starts."""
    if not page_token:
        return _SEQUENCE_MAX
    if not (page_token.isascii() and page_token.isdecimal() and len(page_token) < 19):
        raise bad_request("the page token is not one of this listing", "page_token")
    return int(page_token)


def query(request: pb.SearchFilesRequest, limits: Limits) -> Query:
    ignore_case = request.ignore_case
    pattern = request.content_pattern
    return Query(
        name=name_pattern(request.name_glob) if request.name_glob else None,
        name_is_path="/" in request.name_glob,
        line=line_pattern(pattern, ignore_case=ignore_case) if pattern else None,
        matches_max=min(request.matches_max or _MATCHES, _MATCHES_MAX),
        file_bytes_max=limits.search_file_bytes_max,
    )


def bad_request(message: str, field: str) -> CallerError:
    return CallerError(errors.ERROR_REASON_BAD_FILE_REQUEST, message, field=field, rule=field)


def search_finished(tally: Tally) -> pb.SearchFilesResponse.Finished:
    return pb.SearchFilesResponse.Finished(
        names_selected=tally.names_selected,
        files_skipped=tally.files_skipped,
        truncated=tally.truncated,
    )


def watched(look: int | Look) -> Iterator[pb.WatchFilesResponse]:
    if isinstance(look, int):
        yield pb.WatchFilesResponse(started=pb.WatchFilesResponse.Started(names_count=look))
        return
    if look.overflowed:
        yield pb.WatchFilesResponse(overflowed=pb.WatchFilesResponse.Overflowed())
    for changes in batches(look.changes):
        yield pb.WatchFilesResponse(delta=pb.WatchFilesResponse.Delta(changes=changes))
    if look.gone:
        yield pb.WatchFilesResponse(finished=pb.WatchFilesResponse.Finished())
