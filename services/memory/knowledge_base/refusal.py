"""Why something is refused, in the words of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from services.memory.knowledge_base import folders
from tandem.memory.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting import refusing

_RETRY_S: Final = 2.0
storing = partial(
    refusing.storing,
    errors.ERROR_REASON_STORE_UNREACHABLE,
    errors.ERROR_REASON_STORE_DAMAGED,
)
page_start = partial(refusing.page_start, reason=errors.ERROR_REASON_PAGE_TOKEN_INVALID)


@contextmanager
def of_folder() -> Iterator[None]:
    """What a folder raises before it is accepted."""
    try:
        yield
    except folders.FolderRefused as error:
        reason = errors.ERROR_REASON_FOLDER_REFUSED
        raise CallerError(reason, error.message, field="folder.path") from error
    except folders.FolderMissing as error:
        reason = errors.ERROR_REASON_FOLDER_NOT_FOUND
        raise CallerError(reason, error.message, field="folder.path") from error


def no_ingest(name: str) -> CallerError:
    reason = errors.ERROR_REASON_INGEST_NOT_FOUND
    return CallerError(reason, "there is no such ingest", field="name", name=name)


def no_document(name: str) -> CallerError:
    reason = errors.ERROR_REASON_DOCUMENT_NOT_FOUND
    return CallerError(reason, "there is no such document", field="name", name=name)


def id_taken(name: str) -> CallerError:
    reason = errors.ERROR_REASON_REQUEST_ID_TAKEN
    said = "another ingest was asked for with this id"
    return CallerError(reason, said, field="ingest_id", ingest=name)


def full(ingests_max: int) -> TransientError:
    reason = errors.ERROR_REASON_INGESTS_FULL
    said = "as many ingests are worked on as may be"
    return TransientError(reason, said, retry_after_s=_RETRY_S, ingests_max=ingests_max)
