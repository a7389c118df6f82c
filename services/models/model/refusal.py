"""Why there is no answer, in the words of the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from tandem.models.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError, TriedError
from tandemkit.hosting.access import Reasons
from tandemkit.ml.generation.protocol import (
    ContextTooLong,
    ConversationRefused,
    KeyMissing,
    ModelGone,
    SchemaRefused,
    Unsupported,
)
from tandemkit.ml.servers.server import Crowded, Passing
from tandemkit.reach.failure import Refused, Unreachable

# Of refusals by rights.
RIGHTS: Final = Reasons(errors.ERROR_REASON_NAMESPACE_FORBIDDEN, errors.ERROR_REASON_RULES_UNKNOWN)
_AGAIN_S: Final = 5.0
_REASONS: Final[Mapping[type[Refused], errors.ErrorReason.ValueType]] = {
    KeyMissing: errors.ERROR_REASON_KEY_MISSING,
    ModelGone: errors.ERROR_REASON_MODEL_UNKNOWN,
    ContextTooLong: errors.ERROR_REASON_CONTEXT_TOO_LONG,
    SchemaRefused: errors.ERROR_REASON_SCHEMA_INVALID,
    ConversationRefused: errors.ERROR_REASON_CONVERSATION_INVALID,
    Unsupported: errors.ERROR_REASON_FEATURE_UNSUPPORTED,
}


@contextmanager
def answering() -> Iterator[None]:
    """What backends raise."""
    try:
        yield
    except Unreachable as error:
        wait_s = _AGAIN_S
        if isinstance(error, Passing) and error.retry_after_s is not None:
            wait_s = error.retry_after_s
        kind: type[TransientError] = TriedError
        reason = errors.ERROR_REASON_BACKEND_UNREACHABLE
        if isinstance(error, Crowded):
            kind, reason = TransientError, errors.ERROR_REASON_BACKEND_BUSY
        raise kind(reason, error.message, retry_after_s=wait_s, **error.metadata) from error
    except Refused as error:
        reason = _REASONS.get(type(error), errors.ERROR_REASON_BACKEND_REFUSED)
        raise CallerError(reason, error.message, **error.metadata) from error
