"""Why a text is not embedded, in the words of the contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from services.memory.embedding.batching import Full
from tandem.memory.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.ml.embedding.protocol import ModelMissing, Space
from tandemkit.reach.failure import Refused, Unreachable

# Longer than a call may take: who is in a hurry does without, and nobody waits in vain.
_FETCHED_S: Final = 60.0
_AGAIN_S: Final = 2.0


@contextmanager
def embedding() -> Iterator[None]:
    """What embedders raise."""
    try:
        yield
    except ModelMissing as error:
        reason = errors.ERROR_REASON_MODEL_MISSING
        raise TransientError(
            reason, error.message, retry_after_s=_FETCHED_S, **error.metadata
        ) from error
    except Unreachable as error:
        reason = errors.ERROR_REASON_EMBEDDER_UNREACHABLE
        raise TransientError(
            reason, error.message, retry_after_s=_AGAIN_S, **error.metadata
        ) from error
    except Refused as error:
        reason = errors.ERROR_REASON_EMBEDDER_REFUSED
        raise CallerError(reason, error.message, **error.metadata) from error
    except Full as error:
        reason = errors.ERROR_REASON_EMBEDDER_BUSY
        raise TransientError(
            reason, error.message, retry_after_s=_AGAIN_S, **error.metadata
        ) from error


def unknown(model: str, there: Iterable[str]) -> CallerError:
    message = "there is no such embedding model"
    reason = errors.ERROR_REASON_MODEL_UNKNOWN
    return CallerError(reason, message, field="model", model=model, there=", ".join(there))


def of_another_space(wanted: Space, ours: Space) -> CallerError:
    message = "the model's vectors are of another space"
    reason = errors.ERROR_REASON_SPACE_MISMATCH
    return CallerError(reason, message, field="space", wanted=_words(wanted), ours=_words(ours))


def _words(space: Space) -> str:
    return f"{space.model} {space.version or '-'} {space.dimension}"
