"""OpenFeature's remote evaluation protocol, over the flags that hold now."""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from typing import Any

from services.platform.feature_flag.standing import NotKnown, Standing
from tandem.platform.v1 import feature_flag_pb2 as nouns
from tandemkit.hosting.flag_resolving import context_of, resolved
from tandemkit.hosting.http_port import Answer, Request
from tandemkit.rpc.validation import violations

PATH = "/ofrep/v1"
_FLAGS = f"{PATH}/evaluate/flags"
_JSON = "application/json"
_TARGETING_KEY = "targetingKey"
_REASONS = {
    nouns.FLAG_REASON_STATIC: "STATIC",
    nouns.FLAG_REASON_DEFAULT: "DEFAULT",
    nouns.FLAG_REASON_TARGETING_MATCH: "TARGETING_MATCH",
    nouns.FLAG_REASON_SPLIT: "SPLIT",
    nouns.FLAG_REASON_DISABLED: "DISABLED",
}


class _Unreadable(Exception):
    """The request says nothing that can be answered: the protocol's code, and why."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(details)
        self.code, self.details = code, details


class Ofrep:
    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def answer(self, request: Request, body: bytes) -> Answer:
        """To a POST below `PATH`."""
        key = request.path.removeprefix(f"{_FLAGS}/") if request.path != _FLAGS else ""
        if request.path != _FLAGS and (key == request.path or not key):
            return _answer(HTTPStatus.NOT_FOUND, {"errorDetails": "there is no such path"})
        said = {"key": key} if key else {}
        try:
            flags, context = self._standing.flags, _context(body)
        except NotKnown as error:
            said |= {"errorCode": "PROVIDER_NOT_READY", "errorDetails": error.message}
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, said)
        except _Unreadable as error:
            said |= {"errorCode": error.code, "errorDetails": error.details}
            return _answer(HTTPStatus.BAD_REQUEST, said)
        if not key:
            return self._all(request, context)
        if key not in flags:
            said |= {"errorCode": "FLAG_NOT_FOUND", "errorDetails": "there is no such flag"}
            return _answer(HTTPStatus.NOT_FOUND, said)
        return _answer(HTTPStatus.OK, self._one(flags[key], context))

    def _all(self, request: Request, context: nouns.FlagContext) -> Answer:
        """What this context gets of every flag; nothing where the caller knows it already."""
        told = {
            "flags": [self._one(flag, context) for flag in self._standing.flags.values()],
            "metadata": {"version": str(self._standing.version)},
        }
        tag = f'"{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]}"'
        if request.headers.get("if-none-match") == tag:
            return Answer(HTTPStatus.NOT_MODIFIED, "", _JSON, (("ETag", tag),))
        return _answer(HTTPStatus.OK, told, ("ETag", tag))

    def _one(self, flag: nouns.Flag, context: nouns.FlagContext) -> dict[str, Any]:
        found = resolved(flag, context)
        reason = "STALE" if self._standing.stale else _REASONS[found.reason]
        # The official client asks for a variant also where there is no value.
        told: dict[str, Any] = {"key": flag.key, "reason": reason, "variant": found.variant}
        if found.HasField("value"):
            told["value"] = getattr(found.value, str(found.value.WhichOneof("value")))
        told["metadata"] = {"version": str(self._standing.version)}
        if found.rule:
            told["metadata"]["rule"] = found.rule
        return told


def _context(body: bytes) -> nouns.FlagContext:
    """Raises _Unreadable."""
    try:
        said = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise _Unreadable("PARSE_ERROR", "the body is no JSON") from error
    given = said.get("context", {}) if isinstance(said, dict) else None
    if not isinstance(given, dict):
        raise _Unreadable("INVALID_CONTEXT", "the context is no object")
    who = given.pop(_TARGETING_KEY, "")
    # What cannot be compared, lists and objects, is no attribute that a rule could name.
    known = {name: one for name, one in given.items() if isinstance(one, str | int | float)}
    if not isinstance(who, str):
        raise _Unreadable("INVALID_CONTEXT", f"{_TARGETING_KEY} is no text")
    return _valid(who, known)


def _valid(who: str, known: dict[str, Any]) -> nouns.FlagContext:
    try:
        context = context_of(who, known)
    except (OverflowError, UnicodeEncodeError) as error:
        details = "a number is too large, or a text has half a character"
        raise _Unreadable("INVALID_CONTEXT", details) from error
    broken = violations(context)
    if broken:
        raise _Unreadable("INVALID_CONTEXT", f"{broken[0].field}: {broken[0].description}")
    return context


def _answer(status: HTTPStatus, told: dict[str, Any], *headers: tuple[str, str]) -> Answer:
    return Answer(status, json.dumps(told), _JSON, headers)
