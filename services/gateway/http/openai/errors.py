"""Errors in the form of OpenAI's API, of which the official clients make their exceptions.

The table is in docs/design/openai.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from services.gateway.http.denied import Denied

# Status and type by the canonical code; what is not here is a defect of ours.
_BY_CODE = {
    "INVALID_ARGUMENT": (HTTPStatus.BAD_REQUEST, "invalid_request_error"),
    "OUT_OF_RANGE": (HTTPStatus.BAD_REQUEST, "invalid_request_error"),
    "UNAUTHENTICATED": (HTTPStatus.UNAUTHORIZED, "authentication_error"),
    "PERMISSION_DENIED": (HTTPStatus.FORBIDDEN, "permission_error"),
    "NOT_FOUND": (HTTPStatus.NOT_FOUND, "not_found_error"),
    "ALREADY_EXISTS": (HTTPStatus.CONFLICT, "conflict_error"),
    "ABORTED": (HTTPStatus.CONFLICT, "conflict_error"),
    # Nothing is wrong with the request: sent again it fails again until somebody mends the rest.
    "FAILED_PRECONDITION": (HTTPStatus.UNPROCESSABLE_ENTITY, "failed_precondition_error"),
    "RESOURCE_EXHAUSTED": (HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_error"),
    "UNIMPLEMENTED": (HTTPStatus.NOT_IMPLEMENTED, "not_implemented_error"),
    "UNAVAILABLE": (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable_error"),
    "DEADLINE_EXCEEDED": (HTTPStatus.GATEWAY_TIMEOUT, "timeout_error"),
}
_DEFECT = (HTTPStatus.INTERNAL_SERVER_ERROR, "server_error")
# What clients of OpenAI look for; every other failure goes by its own reason.
_CODES = {
    "MODEL_UNKNOWN": "model_not_found",
    "CONTEXT_TOO_LONG": "context_length_exceeded",
    "UNAUTHENTICATED": "invalid_api_key",
    "RESOURCE_EXHAUSTED": "rate_limit_exceeded",
}
# Where a field of ours has another place in OpenAI's request, by how its path begins.
_PLACES = (
    ("sampling.tokens_max", "max_completion_tokens"),
    ("sampling.", ""),
    ("form.json_schema", "response_format.json_schema"),
    ("form", "response_format"),
    ("texts", "input"),
    ("text", "messages"),
    ("history", "messages"),
    ("tool_choice.name", "tool_choice.function.name"),
    ("tool_choice", "tool_choice"),
)
_WITHIN = (
    (".text", ".content"),
    (".parameters_schema", ".function.parameters"),
    (".arguments_json", ".function.arguments"),
)


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """One error. `more` is what else is known: extra fields that clients hand on as they are."""

    status: HTTPStatus
    kind: str
    message: str
    code: str
    param: str = ""
    more: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> str:
        """As it stands in an answer, and in the midst of a stream."""
        said = {
            "message": self.message,
            "type": self.kind,
            "param": self.param or None,
            "code": self.code,
        }
        # In ASCII: what is told of may be half a character.
        return json.dumps({"error": {**said, **self.more}})


class Refused(Exception):
    """Ends a request before any agent is asked."""

    def __init__(self, answer: ErrorAnswer) -> None:
        super().__init__(answer.message)
        self.answer = answer


def invalid(message: str, param: str = "", code: str = "invalid_value") -> Refused:
    """The request says something that it must not."""
    kind = "invalid_request_error"
    return Refused(ErrorAnswer(HTTPStatus.BAD_REQUEST, kind, message, code, param))


def absent(message: str, param: str = "") -> Refused:
    """A part of OpenAI's API that is not here. The clients would try again, were they not told."""
    headers = {"x-should-retry": "false"}
    status, kind = _BY_CODE["UNIMPLEMENTED"]
    return Refused(ErrorAnswer(status, kind, message, "not_implemented", param, headers=headers))


def of(denied: Denied) -> ErrorAnswer:
    """What the front or an agent says, with all that it says."""
    status, kind = _BY_CODE.get(denied.code, _DEFECT)
    headers = dict(denied.headers)
    if denied.retry_after_s is not None:
        # Clients read the first; the second is HTTP's own, in whole seconds.
        headers["retry-after-ms"] = str(math.ceil(denied.retry_after_s * 1000))
        headers["retry-after"] = str(max(1, math.ceil(denied.retry_after_s)))
    elif denied.code == "UNIMPLEMENTED":
        headers["x-should-retry"] = "false"
    param = next(iter(denied.violations), "")
    return ErrorAnswer(
        HTTPStatus(denied.status or status),
        kind,
        _message(denied),
        _name(denied, kind),
        "model" if denied.reason == "MODEL_UNKNOWN" else place(param),
        _known(denied),
        headers,
    )


def _name(denied: Denied, kind: str) -> str:
    """The code."""
    found = _CODES.get(denied.reason) or ("" if denied.status else _CODES.get(denied.code))
    return found or denied.reason.lower() or kind.removesuffix("_error")


def _message(denied: Denied) -> str:
    """With what it is about: clients show nothing else to people."""
    about = [f"{place(name)}: {said}" for name, said in denied.violations.items()]
    about += [f"{name}={value}" for name, value in denied.metadata.items()]
    return f"{denied.message} ({'; '.join(about)})" if about else denied.message


def _known(denied: Denied) -> dict[str, object]:
    found = {
        "reason": denied.reason,
        "domain": denied.domain,
        "metadata": dict(denied.metadata),
        "violations": {place(name): said for name, said in denied.violations.items()},
        "retryAfter": denied.retry_after,
    }
    return {name: value for name, value in found.items() if value}


def place(path: str) -> str:
    """Where it stands in OpenAI's request."""
    for ours, theirs in _PLACES:
        if path.startswith(ours):
            path = f"{theirs}{path.removeprefix(ours)}"
            break
    for ours, theirs in _WITHIN:
        if path.endswith(ours):
            path = f"{path.removesuffix(ours)}{theirs}"
    return path
