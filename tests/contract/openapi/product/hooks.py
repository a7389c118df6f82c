"""What schemathesis is told of this API beyond its document; runs in schemathesis's environment."""

from __future__ import annotations

import json
from typing import Any

import schemathesis  # pants: no-infer-dep
from schemathesis.transport.requests import REQUESTS_TRANSPORT  # pants: no-infer-dep

_LINES = "application/x-ndjson"
_PROBLEM = "application/problem+json"
# Of the gateway, for what is not the JSON of the message.
_UNREADABLE = {"JSON_INVALID", "MESSAGE_INVALID"}
# A head that is too large, or not of its form, is refused before anybody reads the token in it.
_HEAD = 431
# The agent does not do it as it is set up; somebody does not answer, or late.
_TYPED = {501, 503, 504}


def lines(_context: Any, value: Any) -> dict[str, bytes]:
    """A stream of requests is text of its own."""
    return {"data": value if isinstance(value, bytes) else str(value).encode(errors="replace")}


def _problem(response: Any) -> dict[str, Any] | None:
    try:
        found = json.loads(response.content)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def says_why(_context: Any, response: Any, _case: Any) -> None:
    """Every failure is a problem with its reason, and none is a defect."""
    if response.status_code < 400 or not response.content:
        return
    kind = response.headers.get("content-type", [""])[0].partition(";")[0]
    assert kind == _PROBLEM, f"{response.status_code} as {kind!r}"
    problem = _problem(response)
    assert problem is not None, "the problem is no JSON"
    assert problem["status"] == response.status_code, problem
    assert problem["reason"], problem
    assert problem["domain"], problem
    if response.status_code >= 500:
        assert response.status_code in _TYPED, problem


def is_read(_context: Any, response: Any, case: Any) -> None:
    """What the schema allows is at least read; an agent may still refuse it, for its own reason."""
    meta = case.meta
    # A query cannot say that two of its parts exclude each other, as a oneof's do.
    if case.method != "POST" or case.media_type == _LINES:
        return
    if meta is None or not meta.generation.mode.is_positive:
        return
    if response.status_code == 400:
        problem = _problem(response) or {}
        assert problem.get("reason") not in _UNREADABLE, problem


def is_refused(_context: Any, response: Any, _case: Any) -> None:
    """Whoever shows a wrong token gets nothing done, whatever the request."""
    reason = (_problem(response) or {}).get("reason")
    is_refused_before = response.status_code == _HEAD or reason == "HEADER_INVALID"
    said = f"{response.status_code} with a wrong token"
    assert response.status_code == 401 or is_refused_before, said


REQUESTS_TRANSPORT.serializer(_LINES)(lines)
for one in (says_why, is_read, is_refused):
    schemathesis.check(one)
