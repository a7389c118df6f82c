"""Why a write to a memory is refused: the same words, whether the orchestrator says them or whoever
knows already that it would.
"""

from __future__ import annotations

from tandem.memory.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError


def missing(name: str) -> CallerError:
    reason = errors.ERROR_REASON_MEMORY_NOT_FOUND
    return CallerError(reason, "there is no such memory", field="name", name=name)


def taken(name: str) -> CallerError:
    reason = errors.ERROR_REASON_MEMORY_EXISTS
    said = "another memory was added with this id: use another id, or update that one"
    return CallerError(reason, said, field="memory_id", name=name)


def deleted(name: str) -> CallerError:
    reason = errors.ERROR_REASON_MEMORY_DELETED
    said = "the memory with this id was deleted: use another id"
    return CallerError(reason, said, field="memory_id", name=name)


def outdated(name: str, expected: int, actual: int) -> CallerError:
    reason = errors.ERROR_REASON_MEMORY_VERSION_CONFLICT
    said = "the memory has another version: read it again"
    return CallerError(
        reason, said, field="expected_version", name=name, expected=expected, actual=actual
    )
