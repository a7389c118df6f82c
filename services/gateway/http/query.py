"""What stands behind the `?` of a request as fields of a message: `text=a&tags=b&page.size=3`, in
the spelling of the contract or in that of JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor

from services.gateway.http.denied import Denied, denied
from tandem.gateway.v1 import errors_pb2 as errors

_BOOLS: Final = {"true": True, "false": False, "1": True, "0": False}
_DEPTH_MAX: Final = 16
# Messages whose JSON is a string, or a scalar, and no object.
_SCALAR_KINDS: Final = frozenset(
    f"google.protobuf.{one}"
    for one in (
        *("Timestamp", "Duration", "FieldMask", "StringValue", "BytesValue", "BoolValue"),
        *("Int32Value", "Int64Value", "UInt32Value", "UInt64Value", "FloatValue", "DoubleValue"),
    )
)


def value_of(kind: Any, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The JSON object that says the same of a message of that descriptor. Raises Denied."""
    found: dict[str, Any] = {}
    for name, text in pairs:
        put(kind, found, name, text)
    return found


def put(kind: Any, into: dict[str, Any], name: str, text: str) -> None:
    """One more field, by its path. Raises Denied."""
    *above, last = name.split(".", _DEPTH_MAX)
    at = into
    for part in above:
        field = _field(kind, part, name)
        if field.message_type is None or field.is_repeated or _is_scalar(field):
            raise _misfit(name, "it has no fields of its own")
        at, kind = at.setdefault(field.name, {}), field.message_type
    field = _field(kind, last, name)
    value = _value(field, text, name)
    if field.is_repeated:
        at.setdefault(field.name, []).append(value)
    elif field.name in at:
        raise _misfit(name, "it stands twice")
    else:
        at[field.name] = value


def _field(kind: Any, part: str, name: str) -> FieldDescriptor:
    found: FieldDescriptor | None
    found = kind.fields_by_name.get(part) or kind.fields_by_camelcase_name.get(part)
    if found is None:
        raise _misfit(name, f"{kind.full_name} has no such field")
    return found


def _value(field: FieldDescriptor, text: str, name: str) -> Any:
    if field.message_type is not None and (_is_map(field) or not _is_scalar(field)):
        raise _misfit(name, "name one of its fields, or send it as JSON by POST")
    if field.type == FieldDescriptor.TYPE_BOOL:
        if text.lower() not in _BOOLS:
            raise _misfit(name, "it is true or false")
        return _BOOLS[text.lower()]
    if field.type == FieldDescriptor.TYPE_ENUM and text.lstrip("-").isdecimal():
        return int(text)
    return text


def _is_scalar(field: FieldDescriptor) -> bool:
    return field.message_type.full_name in _SCALAR_KINDS


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type.GetOptions().map_entry)


def _misfit(name: str, why: str) -> Denied:
    reason, message = errors.ERROR_REASON_MESSAGE_INVALID, "the query is not that of the message"
    return denied(reason, message, violations={name[:200]: why})
