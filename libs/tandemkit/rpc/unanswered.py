"""What gRPC itself says of a call that nobody answered, in words that say what to do."""

from __future__ import annotations

from typing import Final

NOBODY: Final = "nobody serves it now; ./tandem status says why"
NO_CONTROL: Final = (
    "no control of the fleet answers; ./tandem status says whether it runs, ./tandem up starts it"
)
NO_INSTANCE: Final = (
    "nobody serves it, or no instance of that name; ./tandem agents lists who serves"
)
NOT_THERE: Final = "nobody listens where it should be; ./tandem status says how the fleet is"
BROKEN: Final = "the connection broke before the answer came; ./tandem status says why"
LATE: Final = "the answer did not come within the call's time"

# By how gRPC's core, the same beneath Python and Node, words it; the first that fits counts.
_UNAVAILABLE: Final = (
    # For a while after control was away this may also say so.
    ("EDS resource ~nowhere", NO_INSTANCE),
    ("contains no localities", NOBODY),
    ("xDS channel for server", NO_CONTROL),
    ("failed to connect", NOT_THERE),
    ("connections to all backends failing", NOT_THERE),
    ("connection refused", NOT_THERE),
    ("socket closed", BROKEN),
    ("broken pipe", BROKEN),
    ("connection reset", BROKEN),
    ("goaway", BROKEN),
    ("keepalive", BROKEN),
    ("ping timeout", BROKEN),
    ("stream removed", BROKEN),
    ("empty address list", NOBODY),
)


def in_words(code: str, message: str) -> str:
    """For a status without a reason of ours; `code` is its name. What is not known stays as it
    is.
    """
    if code == "DEADLINE_EXCEEDED":
        return LATE if message.lower().startswith("deadline exceeded") else message
    if code != "UNAVAILABLE":
        return message
    told = message.lower()
    return next((words for said, words in _UNAVAILABLE if said.lower() in told), message)
