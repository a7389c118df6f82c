"""What protobuf's reader of JSON takes in spite of protobuf's own rules: signs that are none of
base64, Python's own spellings of numbers, truths for numbers, and an empty list for a message.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tandemkit.written.json_schema.forms import Form
from tandemkit.written.json_schema.values import scalar, well_known

_F: Final = FieldDescriptor
_BASE64: Final = re.compile(scalar(_F.TYPE_BYTES, Form.ACCEPTED)["pattern"])
_REAL: Final = re.compile(scalar(_F.TYPE_DOUBLE, Form.ACCEPTED)["pattern"])
_WHOLE: Final = re.compile(r"-?[0-9]{1,20}")
_NEITHER: Final = {_F.TYPE_STRING, _F.TYPE_BOOL, _F.TYPE_MESSAGE}


@dataclass(frozen=True, slots=True)
class Oddity:
    """Where, as a path, and what is wrong there."""

    field: str
    why: str


Look = Callable[[Any, str], Iterator[Oddity]]


def oddity(kind: Any, value: Any) -> Oddity | None:
    """The first that the reader would overlook in a JSON value of a message of that descriptor."""
    return next(_of_message(kind, value, ""), None)


def _of_message(kind: Descriptor, value: Any, path: str) -> Iterator[Oddity]:
    if not isinstance(value, dict):
        yield Oddity(path, "it is no object")
        return
    looks = _looks(kind)
    for name in looks.keys() & value.keys():
        if value[name] is not None:
            yield from looks[name](value[name], f"{path}.{name}" if path else name)


@functools.cache
def _looks(kind: Descriptor) -> Mapping[str, Look]:
    """What to do with the fields that need it, by both of their names."""
    found: dict[str, Look] = {}
    for field in kind.fields:
        if (look := _look(field)) is not None:
            found[field.name] = found[field.json_name] = look
    return found


def _look(field: FieldDescriptor) -> Look | None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        below = _look_at_one(field.message_type.fields_by_name["value"])
        return functools.partial(_in_map, below) if below else None
    one = _look_at_one(field)
    if one is None or not field.is_repeated:
        return one
    return functools.partial(_in_list, one)


def _look_at_one(field: FieldDescriptor) -> Look | None:
    kind = field.message_type
    if kind is not None and well_known(kind.full_name, Form.ACCEPTED) is None:
        return functools.partial(_of_message, kind)
    if field.type in _NEITHER:
        return None
    own: Look = _OF_SCALARS.get(field.type, _of_whole)
    return own


def _in_list(look: Look, value: Any, path: str) -> Iterator[Oddity]:
    # What is no list, the reader finds by itself.
    for at, one in enumerate(value if isinstance(value, list) else ()):
        yield from look(one, f"{path}[{at}]")


def _in_map(look: Look, value: Any, path: str) -> Iterator[Oddity]:
    for key, one in value.items() if isinstance(value, dict) else ():
        yield from look(one, f"{path}.{key}")


def _of_bytes(value: Any, path: str) -> Iterator[Oddity]:
    if not isinstance(value, str) or _BASE64.search(value) is None:
        yield Oddity(path, "it is not in base64")


def _of_real(value: Any, path: str) -> Iterator[Oddity]:
    if isinstance(value, bool) or (isinstance(value, str) and _REAL.search(value) is None):
        yield Oddity(path, "it is no number")


def _of_whole(value: Any, path: str) -> Iterator[Oddity]:
    if isinstance(value, str) and _WHOLE.fullmatch(value) is None:
        yield Oddity(path, "it is no whole number")


def _of_enum(value: Any, path: str) -> Iterator[Oddity]:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        yield Oddity(path, "it is neither the name of a value nor its number")


_OF_SCALARS: Final[Mapping[int, Look]] = {
    _F.TYPE_BYTES: _of_bytes,
    _F.TYPE_ENUM: _of_enum,
    _F.TYPE_DOUBLE: _of_real,
    _F.TYPE_FLOAT: _of_real,
}
