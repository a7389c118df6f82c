"""The smallest request of any method that its contract admits, about a namespace or a thing in it:
made from the descriptors, so an RPC that is added tomorrow has one too.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from buf.validate import validate_pb2 as rules

# Tried in this order where a field has a form of its own.
_TEXTS = ("", "a", "a1", "A", "deletions/a", "sessions/a")


def example(kind: type[Message], namespace: str) -> Any:
    """May still break a rule that spans fields: whoever asks looks."""
    message = kind()
    chosen = {one.fields[0].name for one in kind.DESCRIPTOR.oneofs if _is_required_one(one)}
    for field in kind.DESCRIPTOR.fields:
        said: Any = field.GetOptions()
        rule = said.Extensions[rules.field]
        if field.containing_oneof is not None and field.name not in chosen:
            continue
        if field.is_repeated:
            if rule.repeated.min_items:
                _add(message, field, rule.repeated.items, namespace)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            if rule.required or field.name in chosen or field.name == "namespace":
                getattr(message, field.name).CopyFrom(_filled(field, namespace))
        elif (value := _value(field, rule, namespace)) is not None:
            setattr(message, field.name, value)
        elif field.name in chosen:
            setattr(message, field.name, "a" if field.type == FieldDescriptor.TYPE_STRING else 1)
    return message


def names_a_namespace(kind: type[Message]) -> bool:
    """Whether a request says where, in a field of its own or in the name of a thing."""
    return any(
        field.name == "namespace" or _pattern(field).startswith("^namespaces/")
        for field in kind.DESCRIPTOR.fields
    )


def _add(message: Any, field: FieldDescriptor, rule: Any, namespace: str) -> None:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(message, field.name).append(_filled(field, namespace))
    else:
        value = _value(field, rule, namespace)
        least: Any = "a" if field.type == FieldDescriptor.TYPE_STRING else 1
        getattr(message, field.name).append(value or least)


def _filled(field: FieldDescriptor, namespace: str) -> Any:
    assert field.message_type is not None
    return example(field.message_type._concrete_class, namespace)


def _value(field: FieldDescriptor, rule: Any, namespace: str) -> Any:
    """None where the field may stay as it is."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return _text(field, rule, namespace)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return b"a" * int(rule.bytes.min_len) or None
    if field.type == FieldDescriptor.TYPE_ENUM:
        return 1 if 0 in rule.enum.not_in else None
    whole = getattr(rule, rule.WhichOneof("type") or "string")
    least = max(getattr(whole, "gte", 0), getattr(whole, "gt", 0) + 1)
    is_bound = any(whole.HasField(one) for one in ("gte", "gt") if hasattr(whole, one))
    return least if is_bound and least > 0 else None


def _text(field: FieldDescriptor, rule: Any, namespace: str) -> str | None:
    if field.name == "namespace":
        return namespace
    pattern = rule.string.pattern
    if pattern.startswith("^namespaces/"):
        kinds = re.findall(r"/([a-z_]+)/", pattern.removeprefix("^namespaces"))
        return "/".join((f"namespaces/{namespace}", *(f"{one}/a" for one in kinds)))
    least = max(rule.string.min_len, rule.string.min_bytes)
    fitting = (one for one in _TEXTS if len(one) >= least and _matches(pattern, one))
    return next(fitting, None) or None


def _matches(pattern: str, text: str) -> bool:
    """Classes of Unicode, which only RE2 knows, have none of the control characters here."""
    return re.search(re.sub(r"\\p\{\w+\}", "", pattern).replace("[^]", "."), text) is not None


def _pattern(field: FieldDescriptor) -> str:
    said: Any = field.GetOptions()
    return str(said.Extensions[rules.field].string.pattern)


def _is_required_one(oneof: Any) -> bool:
    return bool(oneof.GetOptions().Extensions[rules.oneof].required)
