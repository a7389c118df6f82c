"""Methods and their messages as a person reads them who is about to call one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from tandem.options.v1 import options_pb2
from tandemkit.cli.call_flags import is_map, is_open, kind_of, repeated
from tandemkit.cli.harmless import one_line
from tandemkit.cli.output import table, wrapped
from tandemkit.cli.reflection import short
from tandemkit.written.contract_comments import Comments

_DEPTH_MAX = 4


@dataclass(frozen=True, slots=True)
class Field:
    """One field below a message: `path` from there, as a flag has it."""

    path: str
    kind: str
    comment: str


def method_value(method: MethodDescriptor, comments: Comments) -> dict[str, Any]:
    """For --json."""
    return {
        "method": f"{method.containing_service.full_name}/{method.name}",
        "comment": comments.of(method.full_name),
        "terms": terms_of(method),
        "request": _message_value(method.input_type, comments),
        "answer": _message_value(method.output_type, comments),
    }


def method_text(method: MethodDescriptor, comments: Comments) -> str:
    """What it does, and each field of its request and its answer."""
    service = method.containing_service.full_name
    told = comments.of(method.full_name)
    parts = [f"{service}/{method.name}"]
    parts += [wrapped(told, "  ")] if told else []
    parts += [f"  {'; '.join(terms_of(method))}."]
    parts += ["", f"Request, {method.input_type.full_name}:", _fields_text(method, comments)]
    answer = list(fields_below(method.output_type, comments))
    parts += ["", f"Answer, {method.output_type.full_name}:"]
    parts += [_rows([(one.path, one.kind, one.comment) for one in answer])]
    return "\n".join(parts)


def methods_text(service: Any, comments: Comments) -> str:
    """The methods of one service, with their first sentences."""
    rows = [
        (f"{short(service.full_name)}/{method.name}", comments.summary(method.full_name))
        for method in service.methods
    ]
    told = comments.of(service.full_name)
    head = f"{service.full_name}\n{wrapped(told, '  ')}" if told else str(service.full_name)
    return f"{head}\n\n{table(rows)}"


def terms_of(method: MethodDescriptor) -> list[str]:
    """On what terms it is called: which side streams, whether it may be repeated, how long."""
    options = _options(method)
    said = []
    if method.client_streaming:
        said.append("takes a stream of requests")
    if method.server_streaming:
        said.append("answers with a stream")
    level = options.idempotency_level
    if level == MethodOptions.NO_SIDE_EFFECTS:
        said.append("changes nothing")
    elif level == MethodOptions.IDEMPOTENT:
        said.append("safe to repeat")
    limit = options.Extensions[options_pb2.deadline]
    limit_s = limit.seconds + limit.nanos / 1e9
    if limit_s:
        said.append(f"takes at most {limit_s:g} s")
    return said or ["one request, one answer"]


def fields_below(
    kind: Descriptor, comments: Comments, prefix: str = "", above: tuple[str, ...] = ()
) -> Iterator[Field]:
    """Its fields and theirs, but for what contains itself."""
    for field in kind.fields:
        path = prefix + field.name
        yield Field(path, _kind(field), comments.of(field.full_name))
        inner = field.message_type
        loops = inner is not None and inner.full_name in (*above, kind.full_name)
        if is_open(field) and not loops and len(above) < _DEPTH_MAX:
            index = ".0" if repeated(field) else ""
            below = (*above, kind.full_name)
            yield from fields_below(inner, comments, f"{path}{index}.", below)


def _kind(field: FieldDescriptor) -> str:
    if is_map(field):
        key, value = field.message_type.fields
        return f"map of {kind_of(key)} to {kind_of(value)}"
    kind = kind_of(field)
    group = field.containing_oneof
    if group is not None and len(group.fields) > 1:
        kind += f" ({group.name}: one of {len(group.fields)})"
    return f"{kind}, repeated" if repeated(field) else kind


def _fields_text(method: MethodDescriptor, comments: Comments) -> str:
    rows = [
        (f"--{one.path.replace('_', '-')}", one.kind, one.comment)
        for one in fields_below(method.input_type, comments)
    ]
    return _rows(rows) or "  none"


def _rows(rows: list[tuple[str, str, str]]) -> str:
    lines = []
    for name, kind, comment in rows:
        lines.append(one_line(f"  {name}  {kind}"))
        lines += [wrapped(comment, "      ")] if comment else []
    return "\n".join(lines) or "  none"


def _message_value(kind: Descriptor, comments: Comments) -> dict[str, Any]:
    fields = [
        {"field": one.path, "kind": one.kind, "comment": one.comment}
        for one in fields_below(kind, comments)
    ]
    return {"type": kind.full_name, "fields": fields}


def _options(method: MethodDescriptor) -> MethodOptions:
    # Of a pool of the server's own, in which our options are unknown fields.
    return MethodOptions.FromString(method.GetOptions().SerializeToString())
