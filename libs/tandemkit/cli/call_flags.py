"""A request made from flags: `--text hello --quantity.value 3`, checked against the contract that
the server itself tells.
"""

from __future__ import annotations

import base64
import json
import math
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration

from tandemkit.cli.moments import duration_s, moment, rfc3339
from tandemkit.cli.output import Refusal, near
from tandemkit.core.clock import SystemClock

# Before a field whose name is that of an option of the command.
PREFIX = "request."
_BOOLS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_KINDS = ("INT", "UINT", "SINT", "FIXED", "SFIXED")
_WHOLE = {getattr(FieldDescriptor, f"TYPE_{kind}{bits}") for kind in _KINDS for bits in (32, 64)}
_FLOATS = {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}
# Messages that protobuf's JSON writes as one value.
_VALUES = "google.protobuf."


@dataclass(frozen=True, slots=True)
class Place:
    """Where a flag's value belongs: `path` of names, keys and indices, and the field at its end."""

    flag: str
    path: tuple[str | int, ...]
    field: FieldDescriptor
    denied: bool = False

    @property
    def is_flag(self) -> bool:
        """Whether it may stand without a value."""
        return bool(self.field.type == FieldDescriptor.TYPE_BOOL)

    def take(self, waiting: deque[str]) -> str:
        """Its value out of the words behind it."""
        if self.is_flag and (self.denied or not waiting or waiting[0].lower() not in _BOOLS):
            return "false" if self.denied else "true"
        if not waiting:
            raise Refusal(f"--{self.flag} needs a value.")
        return waiting.popleft()

    def put(self, told: dict[str, Any], value: Any) -> None:
        """Sets it in the JSON of a message, or adds it where the field is repeated."""
        inner: Any = told
        for step, below in zip(self.path, self.path[1:], strict=False):
            inner = _opened(inner, step, [] if isinstance(below, int) else {}, self.flag)
        last = self.path[-1]
        if repeated(self.field) and not isinstance(last, int) and not is_map(self.field):
            _opened(inner, last, [], self.flag).append(value)
        elif isinstance(last, int):
            _opened(inner, last, None, self.flag)
            inner[last] = value
        else:
            inner[last] = value


def fill(told: dict[str, Any], words: Sequence[str], kind: Descriptor) -> None:
    """Puts what the flags say into the JSON of a message of `kind`."""
    waiting = deque(words)
    while waiting:
        word = waiting.popleft()
        if not word.startswith("--") or word == "--":
            raise Refusal(f"{word!r} is no field; write --FIELD VALUE, or the request as one JSON.")
        flag, given, value = word[2:].partition("=")
        place = find(flag, kind)
        text = value if given else place.take(waiting)
        place.put(told, value_of(place.field, text, place.flag))


def find(flag: str, kind: Descriptor) -> Place:
    """The field that a flag names; Refusal with what is near."""
    own = "request" in kind.fields_by_name
    steps = deque((flag if own else flag.removeprefix(PREFIX)).split("."))
    path: list[str | int] = []
    while True:
        field, denied = _field(steps.popleft(), kind, flag)
        path.append(field.name)
        if is_map(field) and steps:
            path.append(steps.popleft())
            field = field.message_type.fields_by_name["value"]
        elif repeated(field) and steps and steps[0].isdecimal():
            path.append(int(steps.popleft()))
        if not steps:
            return Place(flag, tuple(path), field, denied)
        if not is_open(field):
            raise Refusal(f"--{flag}: {field.name} has no fields; it is {kind_of(field)}.")
        kind = field.message_type


def _field(name: str, kind: Descriptor, flag: str) -> tuple[FieldDescriptor, bool]:
    snake = name.replace("-", "_")
    fields = kind.fields_by_name
    if (found := fields.get(snake)) is not None:
        return found, False
    denied = fields.get(snake.removeprefix("no_"))
    if denied is not None and denied.type == FieldDescriptor.TYPE_BOOL:
        return denied, True
    raise Refusal(f"--{flag}: {kind.full_name} has no field {name!r}{near(snake, fields)}")


def _opened(inner: Any, step: str | int, empty: Any, flag: str) -> Any:
    """What stands at `step`, made where nothing does."""
    if isinstance(step, str):
        # What came as JSON may be spelt as that spells it.
        camel = "".join(part.capitalize() for part in step.split("_"))
        camel = camel[:1].lower() + camel[1:]
        return inner.setdefault(camel if camel in inner else step, empty)
    if step > len(inner):
        raise Refusal(f"--{flag}: element {step} comes after {len(inner)}; count from 0.")
    if step == len(inner):
        inner.append(empty)
    return inner[step]


def repeated(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated)


def is_map(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return bool(kind is not None and kind.GetOptions().map_entry)


def is_open(field: FieldDescriptor) -> bool:
    """Whether its own fields can be named."""
    kind = field.message_type
    return kind is not None and not is_map(field) and not kind.full_name.startswith(_VALUES)


def kind_of(field: FieldDescriptor) -> str:
    """What a person calls the field's type."""
    if field.enum_type is not None:
        return "one of " + ", ".join(names_of(field))
    if field.message_type is not None:
        return str(field.message_type.full_name).removeprefix(_VALUES)
    return next(
        name.removeprefix("TYPE_").lower()
        for name in vars(FieldDescriptor)
        if name.startswith("TYPE_") and getattr(FieldDescriptor, name) == field.type
    )


def names_of(field: FieldDescriptor) -> list[str]:
    """The values of an enum as people type them: without the enum's own name, in lower case."""
    names = [value.name for value in field.enum_type.values]
    zero = names[0].removesuffix("UNSPECIFIED")
    shared = zero if all(name.startswith(zero) for name in names) else ""
    return [name.removeprefix(shared).lower().replace("_", "-") for name in names]


def value_of(field: FieldDescriptor, text: str, flag: str) -> Any:
    """The text as protobuf's JSON has it; Refusal where it is not of the field's type."""
    try:
        return _value_of(field, text)
    except (ValueError, OverflowError, OSError) as error:
        said = f": {error}" if isinstance(error, OSError) else ""
        message = f"--{flag} takes {kind_of(field)}, and {text!r} is none{said}."
        raise Refusal(message) from error


def _value_of(field: FieldDescriptor, text: str) -> Any:
    if field.message_type is not None:
        return _message_of(field.message_type, text)
    if field.enum_type is not None:
        return _enum_of(field, text)
    if field.type == FieldDescriptor.TYPE_BOOL:
        if text.lower() not in _BOOLS:
            raise ValueError(text)
        return _BOOLS[text.lower()]
    if field.type == FieldDescriptor.TYPE_BYTES:
        return base64.b64encode(_bytes_of(text)).decode()
    if field.type in _WHOLE:
        return int(text)
    return _float_of(text) if field.type in _FLOATS else text


def _message_of(kind: Descriptor, text: str) -> Any:
    match kind.full_name:
        case "google.protobuf.Duration":
            span = Duration()
            span.FromTimedelta(timedelta(seconds=duration_s(text)))
            return span.ToJsonString()
        case "google.protobuf.Timestamp":
            return rfc3339(moment(text, SystemClock().now))
        case "google.protobuf.FieldMask":
            return text
    wrapped = kind.fields_by_name.get("value")
    if kind.full_name.startswith(_VALUES) and kind.name.endswith("Value") and wrapped:
        return _value_of(wrapped, text)
    return json.loads(text)


def _enum_of(field: FieldDescriptor, text: str) -> int:
    wanted = text.lower().replace("_", "-")
    for value, name in zip(field.enum_type.values, names_of(field), strict=True):
        if wanted in {name, value.name.lower().replace("_", "-"), str(value.number)}:
            return int(value.number)
    raise ValueError(text)


def _bytes_of(text: str) -> bytes:
    if text == "@-":
        return sys.stdin.buffer.read()
    return Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()


def _float_of(text: str) -> float | str:
    number = float(text)
    if math.isnan(number):
        return "NaN"
    return {float("inf"): "Infinity", float("-inf"): "-Infinity"}.get(number, number)


def flags_of(
    kind: Descriptor, prefix: str = "", depth: int = 3
) -> Iterator[tuple[str, FieldDescriptor]]:
    """Each flag that a message of `kind` can be made from, in the order of its fields."""
    for field in kind.fields:
        flag = prefix + field.name.replace("_", "-")
        yield flag, field
        if depth > 1 and is_open(field) and not repeated(field):
            yield from flags_of(field.message_type, f"{flag}.", depth - 1)
