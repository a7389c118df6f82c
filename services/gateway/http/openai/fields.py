"""Fields of a request's body, each read as what it has to be. Raises Refused for anything else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from services.gateway.http.openai.errors import absent, invalid

# Sets a field of a message by what stands in the body; null stands for not said.
Setter = Callable[[Any, Any], None]
_INT64 = range(-(2**63), 2**63)
_INT32_MAX = 2**31 - 1
_KINDS = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def body_of(sent: bytes) -> dict[str, Any]:
    """The body, which is an object."""
    try:
        body = json.loads(sent)
    except (ValueError, RecursionError):
        raise invalid("the body is no JSON, or none in UTF-8", code="invalid_json") from None
    return mapping(body, "the body")


def wrong(value: object, wanted: str, path: str) -> Exception:
    """A field of another kind than it has to be."""
    kind = _KINDS.get(type(value), "something else")
    return invalid(f"'{path}' has to be {wanted}, and is {kind}", path, "invalid_type")


def text(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise wrong(value, "a string", path)
    if not value.isascii():
        _check_whole(value, path)
    return value


def _check_whole(value: str, path: str) -> None:
    """JSON can say half of a character, which no message can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise invalid(f"'{path}' holds half a character, a lone surrogate", path) from None


def flag(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        raise wrong(value, "a boolean", path)
    return value


def number(value: object, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong(value, "a number", path)
    try:
        return float(value)
    except OverflowError:
        raise invalid(f"'{path}' is too large", path) from None


def whole(value: object, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(value, "an integer", path)
    if value not in _INT64:
        raise invalid(f"'{path}' has to be within 64 bits", path)
    return value


def count(value: object, path: str) -> int:
    """How many of something: one or more."""
    found = whole(value, path)
    if not 0 < found <= _INT32_MAX:
        raise invalid(f"'{path}' has to be from 1 to {_INT32_MAX}", path)
    return found


def items(value: object, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise wrong(value, "an array", path)
    return value


def mapping(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(value, "an object", path)
    return value


def choice(value: object, choices: Mapping[str, Any], path: str) -> Any:
    """What the word stands for."""
    found = choices.get(text(value, path))
    if found is None:
        known = ", ".join(f"'{one}'" for one in choices)
        raise invalid(f"'{path}' has to be one of {known}", path)
    return found


def ignored(_message: Any, _value: Any) -> None:
    """A hint that changes no answer."""


def not_here(name: str, why: str, *allowed: object) -> Setter:
    """For a field that only ever may say one of `allowed`."""

    def set_nothing(_message: Any, value: Any) -> None:
        if value not in allowed:
            raise absent(f"'{name}' is not here: {why}", name)

    return set_nothing


def fill(message: Any, body: Mapping[str, Any], setters: Mapping[str, Setter]) -> None:
    """Sets what the body says, each field by its setter."""
    for name, value in body.items():
        if value is None:
            continue
        setter = setters.get(name)
        if setter is None:
            said = f"there is no field '{name}' here; there are {', '.join(sorted(setters))}"
            raise invalid(said, name, "unknown_parameter")
        try:
            setter(message, value)
        except UnicodeEncodeError:
            said = f"'{name}' holds half a character, a lone surrogate"
            raise invalid(said, name) from None
        except RecursionError:
            raise invalid(f"'{name}' is nested too deeply", name) from None
