"""Messages drawn at random, of any contract: of the right types, and not by its rules."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

_F = FieldDescriptor
_DEPTH_MAX = 3
# As far as JSON's own form of them goes.
_SECONDS_MAX = 315_576_000_000
_FIRST_S, _LAST_S = -62_135_596_800, 253_402_300_799
_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    _F.TYPE_DOUBLE: st.floats(),
    _F.TYPE_FLOAT: st.floats(width=32),
    _F.TYPE_BOOL: st.booleans(),
    _F.TYPE_BYTES: st.binary(max_size=8),
    _F.TYPE_STRING: st.text(max_size=8),
} | {
    kind: st.integers(low, high)
    for kinds, low, high in (
        ((_F.TYPE_INT32, _F.TYPE_SINT32, _F.TYPE_SFIXED32), -(2**31), 2**31 - 1),
        ((_F.TYPE_INT64, _F.TYPE_SINT64, _F.TYPE_SFIXED64), -(2**63), 2**63 - 1),
        ((_F.TYPE_UINT32, _F.TYPE_FIXED32), 0, 2**32 - 1),
        ((_F.TYPE_UINT64, _F.TYPE_FIXED64), 0, 2**64 - 1),
    )
    for kind in kinds
}


@st.composite
def messages(draw: st.DrawFn, kind: Descriptor, depth: int = 0) -> Message:
    """One of this type."""
    message = GetMessageClass(kind)()
    if kind.full_name.startswith("google.protobuf."):
        _fill_known(draw, message)
        return message
    is_deep = depth >= _DEPTH_MAX
    names = [one.name for one in kind.fields if not is_deep or one.message_type is None]
    for name in draw(st.lists(st.sampled_from(names), max_size=4, unique=True)) if names else []:
        _fill(draw, message, kind.fields_by_name[name], depth)
    return message


def _fill(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    of_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    if of_map:
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        drawn = draw(_one(key, depth))
        if value.message_type is not None:
            getattr(message, field.name)[drawn].CopyFrom(draw(_one(value, depth)))
        else:
            getattr(message, field.name)[drawn] = draw(_one(value, depth))
    elif field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(_one(field, depth), max_size=3)))
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(draw(_one(field, depth)))
    else:
        setattr(message, field.name, draw(_one(field, depth)))


def _one(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return messages(field.message_type, depth + 1)
    if field.enum_type is not None:
        return st.sampled_from([one.number for one in field.enum_type.values])
    return _SCALARS[field.type]


def _fill_known(draw: st.DrawFn, message: Any) -> None:
    match message.DESCRIPTOR.name:
        case "Duration":
            message.seconds = draw(st.integers(-_SECONDS_MAX, _SECONDS_MAX))
            nanos = draw(st.integers(0, 999_999_999))
            message.nanos = nanos if message.seconds >= 0 else -nanos
        case "Timestamp":
            message.seconds = draw(st.integers(_FIRST_S, _LAST_S))
            message.nanos = draw(st.integers(0, 999_999_999))
        case "FieldMask":
            message.paths.extend(draw(st.lists(st.from_regex(r"\A[a-z]{1,4}(_[a-z]{1,4})?\Z"))))
        case "Struct":
            message.update(draw(st.dictionaries(st.text(max_size=3), st.booleans(), max_size=2)))
        case "Value":
            message.string_value = draw(st.text(max_size=3))
        case "ListValue":
            message.extend(draw(st.lists(st.text(max_size=3), max_size=2)))
        case "Any":
            message.Pack(GetMessageClass(message.DESCRIPTOR)())
        case _:
            field = message.DESCRIPTOR.fields_by_name["value"]
            message.value = draw(_SCALARS[field.type])
