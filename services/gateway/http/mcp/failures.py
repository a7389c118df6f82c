"""A call that failed, as a model is told: what went wrong, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from services.gateway.http.denied import Denied
from tandemkit.rpc import failure
from tandemkit.written.contract_comments import Comments

# Programs find here what the text says to models; an output schema knows nothing of it.
ERROR_KEY: Final = "tandem/error"
_ADVICE: Final = {
    "INVALID_ARGUMENT": "Correct the arguments and call again.",
    "OUT_OF_RANGE": "Correct the arguments and call again.",
    "NOT_FOUND": "Look up what there is with a tool that lists or searches, then call again.",
    "ALREADY_EXISTS": "It is there already: look at it before doing anything else.",
    "PERMISSION_DENIED": "The caller may not do this. Do not try again; tell the user.",
    "UNAUTHENTICATED": "The caller may not do this. Do not try again; tell the user.",
    "FAILED_PRECONDITION": "The same call fails again until that is otherwise.",
    "RESOURCE_EXHAUSTED": "There is too much to do. Call again later, or ask for less.",
    "UNAVAILABLE": "The agent cannot be reached now. Call again later.",
    "DEADLINE_EXCEEDED": "It took too long. Ask for less, or call again later.",
    "ABORTED": "Something else changed meanwhile. Look again, then decide.",
    "INTERNAL": "This is a defect of the agent. Tell the user: its log has the incident.",
}
_ENUMS: Final = {
    failure.PLATFORM_REASONS.file.package: ("PlatformErrorReason", "PLATFORM_ERROR_REASON_"),
}
_OF_FAMILIES: Final = ("ErrorReason", "ERROR_REASON_")


def failed(denied: Denied, comments: Comments) -> dict[str, Any]:
    """The result of a tool that did not work."""
    text = "\n".join(_lines(denied, comments))
    return {
        "content": [{"type": "text", "text": text}],
        "isError": True,
        "_meta": {ERROR_KEY: said(denied)},
    }


def said(denied: Denied) -> dict[str, Any]:
    """The same for programs."""
    told: dict[str, Any] = {
        "code": denied.code,
        "reason": denied.reason,
        "domain": denied.domain,
        "message": denied.message,
        "metadata": dict(denied.metadata),
        "violations": dict(denied.violations),
        "retryAfter": denied.retry_after,
    }
    return {key: value for key, value in told.items() if value}


def _lines(denied: Denied, comments: Comments) -> Iterator[str]:
    yield f"{denied.code}/{denied.reason or 'UNKNOWN'}: {denied.message}"
    for field, description in denied.violations.items():
        yield f"- {field}: {description}"
    for key, value in denied.metadata.items():
        yield f"- {key} = {value}"
    if meaning := comments.of(_reason_of(denied)):
        yield f"What this means: {meaning}"
    if denied.retry_after_s is not None:
        yield f"Call again in {denied.retry_after_s:g} s, not before."
    elif advice := _ADVICE.get(denied.code):
        yield advice


def _reason_of(denied: Denied) -> str:
    """The full name of the value in its contract."""
    enum, prefix = _ENUMS.get(denied.domain, _OF_FAMILIES)
    return f"{denied.domain}.{enum}.{prefix}{denied.reason}"
