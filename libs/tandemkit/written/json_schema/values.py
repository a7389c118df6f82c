"""Schemas of single values: scalars, enums, and the messages that JSON writes as something else."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from tandemkit.written.json_schema.forms import Form, Schema

_F = FieldDescriptor
_SIGNED_32 = {_F.TYPE_INT32, _F.TYPE_SINT32, _F.TYPE_SFIXED32}
_SIGNED_64 = {_F.TYPE_INT64, _F.TYPE_SINT64, _F.TYPE_SFIXED64}
_UNSIGNED = {_F.TYPE_UINT32: 32, _F.TYPE_FIXED32: 32, _F.TYPE_UINT64: 64, _F.TYPE_FIXED64: 64}
_FLOAT_MAX = 3.4028234663852886e38
_NO_NUMBERS = r"NaN|-?Infinity"
_DECIMAL = r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"
_SIGN = "[A-Za-z0-9+/_-]"
_BASE64 = f"^({_SIGN}{{4}})*({_SIGN}{{2}}(==)?|{_SIGN}{{3}}=?)?$"
_DURATION = r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"
_MOMENT = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$"
)
_WRAPPED = {
    "DoubleValue": _F.TYPE_DOUBLE,
    "FloatValue": _F.TYPE_FLOAT,
    "Int64Value": _F.TYPE_INT64,
    "UInt64Value": _F.TYPE_UINT64,
    "Int32Value": _F.TYPE_INT32,
    "UInt32Value": _F.TYPE_UINT32,
    "BoolValue": _F.TYPE_BOOL,
    "StringValue": _F.TYPE_STRING,
    "BytesValue": _F.TYPE_BYTES,
}


def scalar(kind: int, form: Form) -> Schema:
    """Of a field of this protobuf type that is no message and no enum."""
    if kind in _SIGNED_32:
        return _integer(32, form, signed=True)
    if kind in _SIGNED_64:
        return _integer(64, form, signed=True)
    if kind in _UNSIGNED:
        return _integer(_UNSIGNED[kind], form, signed=False)
    if kind in {_F.TYPE_DOUBLE, _F.TYPE_FLOAT}:
        return _real("double" if kind == _F.TYPE_DOUBLE else "float", form)
    if kind == _F.TYPE_BOOL:
        return {"type": "boolean"}
    if kind == _F.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64", "pattern": _BASE64}
    return {"type": "string"}


def map_key(kind: int) -> Schema:
    """Of the names in an object that stands for a map with keys of this type."""
    if kind == _F.TYPE_STRING:
        return {}
    if kind == _F.TYPE_BOOL:
        return {"enum": ["true", "false"]}
    return {"pattern": r"^[0-9]+$" if kind in _UNSIGNED else r"^-?[0-9]+$"}


def names_of(kind: EnumDescriptor, form: Form, numbers: Collection[int] | None = None) -> Schema:
    """Of an enum; with `numbers`, only those of its values may be given."""
    if kind.full_name == "google.protobuf.NullValue":
        return {"type": "null"}
    allowed = [one for one in kind.values if numbers is None or one.number in numbers]
    names: Schema = {"type": "string", "enum": [one.name for one in allowed]}
    if form is not Form.ACCEPTED:
        return names
    if numbers is not None:
        also = sorted({one.number for one in allowed})
        return {"enum": [*names["enum"], *also, *map(str, also)]}
    any_number = _integer(32, form, signed=True) | {"pattern": r"^-?[0-9]{1,10}$"}
    return {"anyOf": [names, any_number]}


def well_known(full_name: str, form: Form) -> Schema | None:
    """Of a message that JSON writes in a way of its own; None for all others."""
    package, _, name = full_name.rpartition(".")
    if package != "google.protobuf":
        return None
    if name in _WRAPPED:
        return scalar(_WRAPPED[name], form)
    make = _OWN_WAYS.get(name)
    return None if make is None else make(form)


def _integer(bits: int, form: Form, *, signed: bool) -> Schema:
    digits = r"^-?[0-9]+$" if signed else r"^[0-9]+$"
    format_name = f"{'' if signed else 'u'}int{bits}"
    if form is Form.ACCEPTED:
        low = -(2 ** (bits - 1)) if signed else 0
        high = 2 ** (bits - 1 if signed else bits) - 1
        limits = {"minimum": low, "maximum": high}
        digits = f"^{'-?' if signed else ''}({_up_to(high)})$"
        return {"type": ["integer", "string"], "format": format_name, "pattern": digits, **limits}
    if bits == 64:
        return {"type": "string", "format": format_name, "pattern": digits}
    return {"type": "integer", "format": format_name} | ({} if signed else {"minimum": 0})


def _up_to(limit: int) -> str:
    """A pattern of the numbers from 0 to it, in decimal digits."""
    text = str(limit)
    left = len(text) - 1
    ways = [f"[0-9]{{1,{left}}}"]
    for at, digit in enumerate(text):
        least = 0 if at else 1
        if int(digit) > least:
            rest = f"[0-9]{{{left - at}}}" if left > at else ""
            ways.append(f"{text[:at]}[{least}-{int(digit) - 1}]{rest}")
    return "|".join([*ways, text])


def _real(format_name: str, form: Form) -> Schema:
    if form is Form.PREFERRED:
        return {"type": "number", "format": format_name}
    also = _NO_NUMBERS if form is Form.WRITTEN else f"{_NO_NUMBERS}|{_DECIMAL}"
    schema: Schema = {"type": ["number", "string"], "format": format_name, "pattern": f"^({also})$"}
    if form is Form.ACCEPTED and format_name == "float":
        schema |= {"minimum": -_FLOAT_MAX, "maximum": _FLOAT_MAX}
    return schema


def _any(form: Form) -> Schema:
    schema: Schema = {"type": "object", "properties": {"@type": {"type": "string"}}}
    return schema | ({"required": ["@type"]} if form is Form.PREFERRED else {})


def _field_mask(form: Form) -> Schema:
    return {"type": "string"} | ({"pattern": "^[^_]*$"} if form.is_asked else {})


def _always(**schema: Any) -> Callable[[Form], Schema]:
    return lambda _form: dict(schema)


_OWN_WAYS: dict[str, Callable[[Form], Schema]] = {
    "Timestamp": _always(type="string", format="date-time", pattern=_MOMENT),
    "Duration": _always(type="string", pattern=_DURATION),
    "FieldMask": _field_mask,
    "Struct": _always(type="object"),
    "Value": _always(),
    "ListValue": _always(type="array"),
    "Any": _any,
}
