"""What went wrong, in the words of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.memory.cache.keeping import LeaseLost, VersionConflict
from tandem.memory.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError
from tandemkit.hosting.refusing import storing


@contextmanager
def refusing() -> Iterator[None]:
    """For what asks the shared tier."""
    try:
        with storing(errors.ERROR_REASON_STORE_UNREACHABLE, errors.ERROR_REASON_STORE_DAMAGED):
            yield
    except LeaseLost as error:
        raise CallerError(
            errors.ERROR_REASON_LEASE_LOST, error.message, field="lease", **error.metadata
        ) from error
    except VersionConflict as error:
        reason = errors.ERROR_REASON_CACHE_VERSION_CONFLICT
        raise CallerError(reason, error.message, **error.metadata) from error


def too_large(size: int, limit: int) -> CallerError:
    reason, message = errors.ERROR_REASON_CACHE_ENTRY_TOO_LARGE, "the value exceeds the limit"
    return CallerError(reason, message, field="value", bytes=size, bytes_max=limit)
