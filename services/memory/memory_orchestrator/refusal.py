"""Why a memory is not kept or found, in the words of the contract."""

from __future__ import annotations

from functools import partial

from tandem.memory.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError
from tandemkit.hosting import refusing

storing = partial(
    refusing.storing,
    errors.ERROR_REASON_STORE_UNREACHABLE,
    errors.ERROR_REASON_STORE_DAMAGED,
)
page_start = partial(refusing.page_start, reason=errors.ERROR_REASON_PAGE_TOKEN_INVALID)


def empty() -> CallerError:
    reason = errors.ERROR_REASON_MEMORY_EMPTY
    return CallerError(reason, "a memory has a text or a fact", field="memory.text")


def untimely() -> CallerError:
    reason = errors.ERROR_REASON_VALIDITY_INVALID
    said = "a memory is true up to later than it begins to be"
    return CallerError(reason, said, field="memory.valid_to")


def unmasked(path: str) -> CallerError:
    reason = errors.ERROR_REASON_MASK_INVALID
    said = "the mask names no field, or one that cannot be changed so"
    return CallerError(reason, said, field="update_mask", path=path)


def full(mib_max: int) -> CallerError:
    reason = errors.ERROR_REASON_MEMORY_FULL
    said = "the index is full: delete memories, or raise index_mib_max"
    return CallerError(reason, said, index_mib_max=mib_max)


def crowded(name: str) -> CallerError:
    reason = errors.ERROR_REASON_FACTS_FULL
    said = "too many facts have this subject and functional predicate: delete some"
    return CallerError(reason, said, field="memory.fact", name=name)
