"""A protobuf message read from YAML, with the line and column at which each of its fields stood."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import yaml
from google.protobuf import json_format
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from tandemkit.rpc import validation
from tandemkit.written import merging
from tandemkit.written.near import hint
from tandemkit.written.variables import Variables

_LAST_PART = re.compile(r"(\[[^\[\]]*\]|(^|\.)[^.\[\]]*)$")
_ANY = "google.protobuf.Any"
Fields_co = TypeVar("Fields_co", bound=Message, covariant=True)
_File = TypeVar("_File", bound=Message)


@dataclass(frozen=True, order=True, slots=True)
class Mistake:
    """What is wrong with a file, and where."""

    path: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


@dataclass(frozen=True, slots=True)
class Places:
    """Where each field of a file stands, by its path: `agents[0].name`."""

    path: str
    marks: Mapping[str, yaml.Mark]

    def mistake(self, field: str, message: str) -> Mistake:
        """One at the field, or, when it is its absence that is wrong, at what should hold it."""
        mark = _nearest(field, self.marks)
        return Mistake(self.path, mark.line + 1, mark.column + 1, message)


@dataclass(frozen=True, slots=True)
class Entry(Generic[Fields_co]):
    """One item of a file, with its fields' places: `prefix` is where it stands there."""

    fields: Fields_co
    places: Places
    prefix: str = ""

    def mistake(self, field: str, message: str) -> Mistake:
        """One at a field of this item, which the message names."""
        path = f"{self.prefix}.{field}".strip(".")
        return self.places.mistake(path, f"`{path}`: {message}")


@dataclass
class Reader:
    """Turns the YAML nodes of one file into messages. What does not fit becomes a mistake, not an
    end. Its values may name `variables`.
    """

    path: str
    variables: Variables = field(default_factory=Variables)
    mistakes: list[Mistake] = field(default_factory=list)

    def root(self, text: str) -> yaml.MappingNode | None:
        """The file's top level, or None where it is no mapping."""
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            self.object_to(error.problem_mark, error.problem or "is no YAML")
            return None
        if isinstance(node, yaml.MappingNode):
            merging.resolve(node, self.object_to)
            for mark, said in self.variables.expand(node, self.path):
                self.object_to(mark, said)
            return node
        self.object_to(node.start_mark if node else None, "a mapping of fields is needed here")
        return None

    def read(self, message: Message, node: yaml.MappingNode) -> Places:
        """Fills `message` and checks the rules on its fields."""
        marks: dict[str, yaml.Mark] = {"": node.start_mark}
        self._fill(message, node, "", marks)
        # The engine itself: quick checks know generated messages, and these may be made at run
        # time.
        for broken in validation.ask_engine(message):
            self.object_to(_nearest(broken.field, marks), f"`{broken.field}`: {broken.description}")
        return Places(self.path, marks)

    def nowhere(self) -> Places:
        """Places of a file that could not be read: all mistakes stand at its start."""
        return Places(self.path, {"": yaml.Mark(self.path, 0, 0, 0, None, 0)})

    def object_to(self, mark: yaml.Mark | None, message: str) -> None:
        """Notes a mistake at `mark`, or at the file's start."""
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        self.mistakes.append(Mistake(self.path, line, column, message))

    def _fill(
        self, message: Message, node: yaml.MappingNode, prefix: str, marks: dict[str, yaml.Mark]
    ) -> None:
        seen: dict[str, int] = {}
        for key, value in node.value:
            known = message.DESCRIPTOR.fields_by_name.get(str(key.value))
            path = f"{prefix}.{key.value}".lstrip(".")
            marks[path] = value.start_mark
            if known is None:
                name = message.DESCRIPTOR.full_name
                near = hint(str(key.value), message.DESCRIPTOR.fields_by_name)
                self.object_to(key.start_mark, f"{name} has no field `{key.value}`{near}")
            elif path in seen:
                first = f"line {seen[path]} has it already"
                self.object_to(key.start_mark, f"`{path}` stands here twice; {first}")
            else:
                self._set(message, known, value, (path, marks))
            seen.setdefault(path, key.start_mark.line + 1)

    def _set(
        self,
        message: Any,
        known: FieldDescriptor,
        node: yaml.Node,
        place: tuple[str, dict[str, yaml.Mark]],
    ) -> None:
        path, marks = place
        if known.message_type is not None and known.message_type.full_name == _ANY:
            # Whoever knows the type reads it.
            return
        if isinstance(node, yaml.SequenceNode):
            marks |= {f"{path}[{index}]": item.start_mark for index, item in enumerate(node.value)}
        kind = known.message_type
        if kind is None or kind.GetOptions().map_entry or isinstance(node, yaml.ScalarNode):
            self._parse(message, known, node, path)
        elif known.is_repeated and isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                if isinstance(item, yaml.MappingNode):
                    self._fill(getattr(message, known.name).add(), item, f"{path}[{index}]", marks)
                else:
                    self.object_to(item.start_mark, f"`{path}[{index}]` is a mapping of fields")
        elif not known.is_repeated and isinstance(node, yaml.MappingNode):
            getattr(message, known.name).SetInParent()
            self._fill(getattr(message, known.name), node, path, marks)
        else:
            wanted = (
                "list: write `- ` before each item" if known.is_repeated else "mapping of fields"
            )
            self.object_to(node.start_mark, f"`{path}` is a {wanted}")

    def _parse(self, message: Message, known: FieldDescriptor, node: yaml.Node, path: str) -> None:
        """Scalars, well-known types such as Duration, and maps: as the JSON mapping reads them."""
        try:
            # A date stays text here: JSON has none, and a field may well want one as a string.
            is_date = node.tag == "tag:yaml.org,2002:timestamp"
            native = node.value if is_date else yaml.SafeLoader("").construct_object(node, True)
            if known.enum_type is not None and isinstance(native, str):
                native = _enumerator(known.enum_type, native)
            json_format.ParseDict({known.name: native}, message)
        except (json_format.ParseError, yaml.YAMLError, LookupError) as error:
            self.object_to(node.start_mark, f"`{path}`: {error}")


def read(reader: Reader, message: _File, text: str) -> Entry[_File]:
    """The whole file as one entry; what is wrong with it stands in the reader."""
    root = reader.root(text)
    if root is None:
        return Entry(message, reader.nowhere())
    return Entry(message, reader.read(message, root))


def value_of(node: yaml.MappingNode, key: str) -> yaml.Node | None:
    """The node under `key`; None where there is none."""
    return next((value for name, value in node.value if name.value == key), None)


def _enumerator(kind: EnumDescriptor, text: str) -> str:
    """The value's full name; files may leave out what all values of the enum begin with. Raises
    LookupError with a sentence.
    """
    prefix = kind.values_by_number[0].name.removesuffix("UNSPECIFIED")
    for name in (text, f"{prefix}{text.upper()}"):
        if name in kind.values_by_name:
            return name
    known = [name.removeprefix(prefix).lower() for name in kind.values_by_name]
    raise LookupError(f"there is no `{text}`{hint(text, known[1:])}")


def _nearest(path: str, marks: Mapping[str, yaml.Mark]) -> yaml.Mark:
    """Where the field stands, or, when it is the absence that is wrong, what should hold it."""
    while path not in marks:
        # A key of a map may hold anything, brackets too: then the file's start has to do.
        shorter = _LAST_PART.sub("", path)
        path = shorter if shorter != path else ""
    return marks[path]
