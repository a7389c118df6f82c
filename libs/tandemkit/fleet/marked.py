"""A protobuf message read from YAML, with the line and column at which each of its fields stood."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tandemkit.rpc import validation

_ANY = "google.protobuf.Any"


@dataclass(frozen=True, order=True, slots=True)
class Mistake:
    """What is wrong with a file, and where."""

    path: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


@dataclass
class Reader:
    """Turns the YAML nodes of one file into messages. What does not fit becomes a mistake, not an
    end.
    """

    path: str
    mistakes: list[Mistake] = field(default_factory=list)

    def root(self, text: str) -> yaml.MappingNode | None:
        """The file's top level, or None where it is no mapping."""
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            self.object_to(error.problem_mark, error.problem or "is no YAML")
            return None
        if isinstance(node, yaml.MappingNode):
            return node
        self.object_to(node.start_mark if node else None, "a mapping of fields is needed here")
        return None

    def read(self, message: Message, node: yaml.MappingNode) -> None:
        """Fills `message` and checks the rules on its fields."""
        marks: dict[str, yaml.Mark] = {"": node.start_mark}
        self._fill(message, node, "", marks)
        # The engine itself: quick checks know generated messages, and these may be made at run
        # time.
        for broken in validation.ask_engine(message):
            self.object_to(_nearest(broken.field, marks), f"`{broken.field}`: {broken.description}")

    def object_to(self, mark: yaml.Mark | None, message: str) -> None:
        """Notes a mistake at `mark`, or at the file's start."""
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        self.mistakes.append(Mistake(self.path, line, column, message))

    def _fill(
        self, message: Message, node: yaml.MappingNode, prefix: str, marks: dict[str, yaml.Mark]
    ) -> None:
        seen: set[str] = set()
        for key, value in node.value:
            known = message.DESCRIPTOR.fields_by_name.get(str(key.value))
            path = f"{prefix}.{key.value}".lstrip(".")
            marks[path] = value.start_mark
            if known is None:
                name = message.DESCRIPTOR.full_name
                self.object_to(key.start_mark, f"{name} has no field `{key.value}`")
            elif path in seen:
                self.object_to(key.start_mark, f"`{path}` stands here twice")
            else:
                self._set(message, known, value, (path, marks))
            seen.add(path)

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
        if known.message_type is None or not isinstance(node, yaml.CollectionNode):
            self._parse(message, known, node, path)
        elif isinstance(node, yaml.MappingNode) and not known.message_type.GetOptions().map_entry:
            getattr(message, known.name).SetInParent()
            self._fill(getattr(message, known.name), node, path, marks)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                marks[f"{path}[{index}]"] = item.start_mark
                if isinstance(item, yaml.MappingNode):
                    self._fill(getattr(message, known.name).add(), item, f"{path}[{index}]", marks)
                else:
                    self.object_to(item.start_mark, f"`{path}[{index}]` is a mapping of fields")
        else:
            self._parse(message, known, node, path)

    def _parse(self, message: Message, known: FieldDescriptor, node: yaml.Node, path: str) -> None:
        """Scalars, well-known types such as Duration, and maps: as the JSON mapping reads them."""
        try:
            # A date stays text here: JSON has none, and a field may well want one as a string.
            is_date = node.tag == "tag:yaml.org,2002:timestamp"
            native = node.value if is_date else yaml.SafeLoader("").construct_object(node, True)
            json_format.ParseDict({known.name: native}, message)
        except (json_format.ParseError, yaml.YAMLError) as error:
            self.object_to(node.start_mark, f"`{path}`: {error}")


def value_of(node: yaml.MappingNode, key: str) -> yaml.Node | None:
    """The node under `key`; None where there is none."""
    return next((value for name, value in node.value if name.value == key), None)


def _nearest(path: str, marks: dict[str, yaml.Mark]) -> yaml.Mark:
    """Where the field stands, or, when it is the absence that is wrong, what should hold it."""
    while path not in marks:
        path = re.sub(r"(^|\.)[^.\[]*$|\[[^\[]*$", "", path)
    return marks[path]
