"""What a call brings along besides its request, read once for every call that is served."""

from __future__ import annotations

from collections.abc import Iterable

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.rpc import failure, trace
from tandemkit.rpc.failure import Refused, Violation
from tandemkit.rpc.priority import HEADER, WORDS, Priority


def read(metadata: Iterable[tuple[str, str | bytes]] | None) -> tuple[str, str | bytes | None]:
    """The trace that the call belongs to, empty where it brought none that is well formed, and what
    it says of its class.
    """
    traceparent: str | bytes = ""
    asked = None
    for key, value in metadata or ():
        if key == trace.HEADER:
            traceparent = traceparent or value
        elif key == HEADER:
            asked = value
    return trace.well_formed(traceparent) if traceparent else "", asked


def priority(asked: str | bytes) -> Priority:
    """The class that the header names. Raises Refused for a word that is none: a misspelt one would
    have its caller wait, or others, in silence.
    """
    found = WORDS.get(str(asked))
    if found is None:
        refusal = failure.of_platform(
            platform.PLATFORM_ERROR_REASON_INVALID_REQUEST,
            f"the header {HEADER} is none of {', '.join(WORDS)}",
            violations=(Violation(HEADER, f"is none of {', '.join(WORDS)}"),),
            violations_total=1,
        )
        raise Refused(refusal)
    return found
