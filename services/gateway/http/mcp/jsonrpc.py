"""JSON-RPC 2.0 as the Model Context Protocol uses it: what a client may send, and what it is
answered. Names and codes are the protocol's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tandemkit.core.json_value import is_deeper

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022
# Before 2026-07-28; since then such a resource is INVALID_PARAMS.
RESOURCE_NOT_FOUND = -32002

# A list, where the parser would go as deep as it is asked to.
_DEPTH_MAX = 64
_ID_CHARS_MAX = 256

Id = str | int
Params = Mapping[str, Any]


class Fault(Exception):
    """What is answered instead of a result. `status` is the HTTP one where there is HTTP."""

    def __init__(self, code: int, message: str, /, status: int = 200, **said: object) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.said = code, message, status, said

    def answer(self, identity: Id | None) -> dict[str, Any]:
        """As the client gets it."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.said:
            error["data"] = self.said
        return {"jsonrpc": "2.0", "id": identity, "error": error}


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request, or a notification where it has no id."""

    method: str
    params: Params = field(default_factory=dict)
    id: Id | None = None

    @property
    def meta(self) -> Params:
        """What goes with the parameters and is none of them."""
        found = self.params.get("_meta")
        return found if isinstance(found, Mapping) else {}


def parsed(body: bytes) -> Any:
    """The JSON that was sent. Raises Fault."""
    try:
        return json.loads(body, parse_constant=_refused_constant)
    except (ValueError, RecursionError) as error:
        message = f"the body is no JSON in UTF-8: {error}"[:200]
        raise Fault(PARSE_ERROR, message, 400) from error


def incoming(value: object) -> Incoming | None:
    """The message; None for a response, which we never ask for. Raises Fault."""
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise Fault(INVALID_REQUEST, "a message is an object with jsonrpc 2.0", 400)
    method, params = value.get("method"), value.get("params", {})
    if method is None and ("result" in value or "error" in value):
        return None
    if not isinstance(method, str) or not method:
        raise Fault(INVALID_REQUEST, "`method` is the name of a method", 400)
    if not isinstance(params, dict):
        raise Fault(INVALID_REQUEST, "`params` is an object", 400)
    if is_deeper(params, _DEPTH_MAX):
        raise Fault(INVALID_REQUEST, f"`params` is deeper than {_DEPTH_MAX} levels", 400)
    if "id" not in value:
        return Incoming(method, params)
    return Incoming(method, params, _id(value["id"]))


def result(identity: Id | None, value: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a request."""
    return {"jsonrpc": "2.0", "id": identity, "result": value}


def notification(method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What is told without being asked."""
    told: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        told["params"] = params
    return told


def written(message: Mapping[str, Any]) -> str:
    """On one line, with which both transports end a message; some readers know more ends of lines
    than two, so all but ASCII is escaped.
    """
    return json.dumps(message, separators=(",", ":"))


def text_of(params: Params, name: str, *, default: str | None = None) -> str:
    """A parameter that is a text. Raises Fault."""
    found = params.get(name, default)
    if not isinstance(found, str):
        raise Fault(INVALID_PARAMS, f"`params.{name}` is a text")
    return found


def object_of(params: Params, name: str) -> Params:
    """A parameter that is an object; without it an empty one. Raises Fault."""
    found = params.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Fault(INVALID_PARAMS, f"`params.{name}` is an object")
    return found


def _id(value: object) -> Id:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Fault(INVALID_REQUEST, "`id` is a text or a whole number", 400)
    if isinstance(value, str) and len(value) > _ID_CHARS_MAX:
        raise Fault(INVALID_REQUEST, f"`id` has at most {_ID_CHARS_MAX} characters", 400)
    return value


def _refused_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
