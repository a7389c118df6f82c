"""Messages of any contract as JSON and back, in the mapping that protobuf prescribes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final, cast

from google.protobuf import json_format
from google.protobuf.message import Message

from services.gateway.http import opaque
from services.gateway.http.denied import Denied, denied
from services.gateway.http.strictness import oddity
from tandem.gateway.v1 import errors_pb2 as errors
from tandemkit.written.json_misfit import misfit

JSON: Final = "application/json"
_WHY_CHARS_MAX: Final = 300
# What json_format raises besides its own kind, for values that are of no type of the field's.
_MISFITS: Final = (json_format.ParseError, ValueError, TypeError, AttributeError, LookupError)
_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def message_of(kind: type[Message], content: bytes) -> Message:
    """Of a body; an empty one is a message without fields. Raises Denied."""
    return filled(kind, value_of(content) if content else {})


def filled(kind: type[Message], value: Any) -> Message:
    """Of a JSON value. Raises Denied."""
    message = kind()
    if not isinstance(value, dict) and not kind.DESCRIPTOR.full_name.startswith("google.protobuf."):
        raise _misfit("the JSON is no object", kind, "")
    try:
        if (odd := oddity(kind.DESCRIPTOR, value)) is not None:
            raise _misfit(odd.why, kind, odd.field)
        json_format.ParseDict(value, message, descriptor_pool=_pool(message))
    except _MISFITS as error:
        field, why = misfit(error)
        raise _misfit(why, kind, field) from error
    except RecursionError as error:
        raise _misfit("it is nested too deep", kind, "") from error
    return message


def value_of(content: bytes) -> Any:
    """The JSON value. Raises Denied."""
    try:
        return json.loads(content.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise _no_json("the text is not in UTF-8", error.start) from error
    except json.JSONDecodeError as error:
        raise _no_json(error.msg, error.pos) from error
    except ValueError as error:
        raise _no_json(str(error), 0) from error
    except RecursionError as error:
        raise _no_json("it is nested too deep", 0) from error


def text_of(message: Message) -> str:
    """In one line. Fields without a value are left out, as in every JSON of protobuf's."""
    return _ENCODE(dict_of(message))


def bytes_of(message: Message) -> bytes:
    return text_of(message).encode()


def part_of(message: Message, field: str) -> bytes:
    """One field of it alone, also where it has no value."""
    name = message.DESCRIPTOR.fields_by_name[field].json_name
    found = dict_of(message, is_whole=True)
    return _ENCODE(found.get(name)).encode()


def dict_of(message: Message, *, is_whole: bool = False) -> dict[str, Any]:
    """As a value; where it is whole, with the fields that have none."""
    pool, options = _pool(message), {"always_print_fields_with_no_presence": is_whole}
    try:
        return json_format.MessageToDict(message, descriptor_pool=pool, **options)
    except TypeError:
        # It has one inside of a type that its contract does not import.
        copy = opaque.made_opaque(message, pool)
        told = json_format.MessageToDict(copy, descriptor_pool=pool, **options)
        return cast("dict[str, Any]", opaque.named(told))


def _pool(message: Message) -> Any:
    """Where the types of the message's own contract are, which this process need not have."""
    return message.DESCRIPTOR.file.pool


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two that are called alike nobody knows which one is meant."""
    found = dict(pairs)
    if len(found) != len(pairs):
        (twice, _times), *_ = Counter(name for name, _value in pairs).most_common(1)
        raise ValueError(f"the key {twice[:_WHY_CHARS_MAX]!r} stands twice in one object")
    return found


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON; write it as a string")


def _misfit(why: str, kind: type[Message], field: str) -> Denied:
    return denied(
        errors.ERROR_REASON_MESSAGE_INVALID,
        "the JSON is not that of the message",
        violations={field: why},
        expected=kind.DESCRIPTOR.full_name,
    )


def _no_json(why: str, at: int) -> Denied:
    return denied(
        errors.ERROR_REASON_JSON_INVALID, "the body is no JSON", why=why[:_WHY_CHARS_MAX], at=at
    )
