"""Why vectors are not kept or found, in the words of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from services.memory.vector_store.names import told_as
from tandem.memory.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError
from tandemkit.hosting import refusing
from tandemkit.storage.vectors.protocol import (
    CollectionDiffers,
    CollectionMissing,
    Full,
    SpaceMismatch,
)

page_start = partial(refusing.page_start, reason=errors.ERROR_REASON_PAGE_TOKEN_INVALID)
page = partial(refusing.page, reason=errors.ERROR_REASON_PAGE_TOKEN_INVALID)
_storing = partial(
    refusing.storing, errors.ERROR_REASON_STORE_UNREACHABLE, errors.ERROR_REASON_STORE_DAMAGED
)


@contextmanager
def storing() -> Iterator[None]:
    """For all that asks the store."""
    try:
        with _storing():
            yield
    except CollectionMissing as error:
        raise CallerError(
            errors.ERROR_REASON_COLLECTION_NOT_FOUND,
            error.message,
            collection=told_as(error.metadata["collection"]),
        ) from error
    except SpaceMismatch as error:
        reason = errors.ERROR_REASON_SPACE_MISMATCH
        raise CallerError(reason, error.message, field="space", **error.metadata) from error
    except CollectionDiffers as error:
        told = {**error.metadata, "collection": told_as(error.metadata["collection"])}
        raise CallerError(
            errors.ERROR_REASON_COLLECTION_DIFFERS, error.message, field="collection_id", **told
        ) from error
    except Full as error:
        told = {**error.metadata, "collection": told_as(error.metadata["collection"])}
        reason = errors.ERROR_REASON_COLLECTION_FULL
        raise CallerError(reason, error.message, field="points", **told) from error
    except ValueError as error:
        raise CallerError(errors.ERROR_REASON_VECTOR_INVALID, str(error)) from error


def too_many(collections: int) -> CallerError:
    return CallerError(
        errors.ERROR_REASON_COLLECTIONS_FULL,
        "there are as many collections as the setting collections_max allows: delete some",
        collections=collections,
    )
