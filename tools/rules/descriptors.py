"""The contracts as the rules see them: compiled, with lines, comments and our options readable."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
    SourceCodeInfo,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from tandemkit.audit.finding import Finding
from tools.contracts import image
from tools.rules.tree import Tree

# Field numbers of descriptor.proto, of which a SourceCodeInfo path is made.
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6
_NESTED_MESSAGE, _NESTED_ENUM, _FIELD, _METHOD, _VALUE = 3, 4, 2, 2, 2


@dataclass(frozen=True, slots=True)
class Element:
    """Where one element of a contract stands: its file, its path in it, its full name."""

    file: FileDescriptorProto
    location: tuple[int, ...]
    name: str

    def child(self, *step: int | str) -> Element:
        """The element one step down: field number, index, own name."""
        kind, index, name = step
        return Element(self.file, (*self.location, int(kind), int(index)), f"{self.name}.{name}")


class Contracts:
    """A compiled image. Options are read through its own pool, so no stub needs to exist."""

    def __init__(self, serialized: bytes) -> None:
        # protobuf leaves the pool's methods untyped.
        pool: Any = DescriptorPool()
        for file in FileDescriptorSet.FromString(serialized).file:
            pool.Add(file)
        self._pool = pool
        # Parsed by a class of that pool: there the extensions are known fields.
        typed: Any = self.message_class("google.protobuf.FileDescriptorSet")
        self._image: FileDescriptorSet = typed.FromString(serialized)

    @classmethod
    def of(cls, tree: Tree) -> Contracts:
        """Compiles the .proto files of a tree, wherever they come from."""
        with tempfile.TemporaryDirectory() as folder:
            protos = Path(folder, "protos")
            for path, text in tree.files.items():
                if path.startswith("protos/") and path.endswith(".proto"):
                    target = Path(folder, path)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(text, encoding="utf-8")
            made = Path(folder, "image.binpb")
            image(protos, made)
            return cls(made.read_bytes())

    @cached_property
    def files(self) -> tuple[FileDescriptorProto, ...]:
        """Ours only, without what they import from google and buf."""
        return tuple(file for file in self._image.file if file.name.startswith("tandem/"))

    def message_class(self, name: str) -> type[Message]:
        return message_factory.GetMessageClass(self.descriptor(name))

    def descriptor(self, name: str) -> Descriptor:
        """Raises KeyError for a message that no contract defines."""
        found: Descriptor = self._pool.FindMessageTypeByName(name)
        return found

    def option(self, options: Message, name: str) -> Any:
        """The value of an extension of `tandem.options.v1`, or None where it is not set."""
        extension = self._pool.FindExtensionByName(f"tandem.options.v1.{name}")
        return options.Extensions[extension] if options.HasExtension(extension) else None

    def finding(self, element: Element, rule: str, message: str) -> Finding:
        location = self._locations(element.file).get(element.location)
        line = location.span[0] + 1 if location else 1
        return Finding(f"protos/{element.file.name}", line, rule, message)

    def comment(self, element: Element) -> str:
        location = self._locations(element.file).get(element.location)
        return location.leading_comments if location else ""

    def _locations(
        self, file: FileDescriptorProto
    ) -> dict[tuple[int, ...], SourceCodeInfo.Location]:
        known = self._by_file.get(file.name)
        if known is None:
            known = {tuple(item.path): item for item in file.source_code_info.location}
            self._by_file[file.name] = known
        return known

    @cached_property
    def _by_file(self) -> dict[str, dict[tuple[int, ...], SourceCodeInfo.Location]]:
        return {}

    def services(self) -> Iterator[tuple[Element, ServiceDescriptorProto]]:
        for file in self.files:
            for index, service in enumerate(file.service):
                name = f"{file.package}.{service.name}"
                yield Element(file, (_SERVICE, index), name), service

    def methods(self) -> Iterator[tuple[Element, MethodDescriptorProto]]:
        for element, service in self.services():
            for index, method in enumerate(service.method):
                yield element.child(_METHOD, index, method.name), method

    def messages(self) -> Iterator[tuple[Element, DescriptorProto]]:
        """Every message with the nested ones, without the entries that a map generates."""
        for file in self.files:
            for index, message in enumerate(file.message_type):
                top = Element(file, (_MESSAGE, index), f"{file.package}.{message.name}")
                yield from _with_nested(top, message)

    def fields(self) -> Iterator[tuple[Element, FieldDescriptorProto]]:
        for element, message in self.messages():
            for index, field in enumerate(message.field):
                yield element.child(_FIELD, index, field.name), field

    def enums(self) -> Iterator[tuple[Element, EnumDescriptorProto]]:
        for file in self.files:
            for index, enum in enumerate(file.enum_type):
                yield Element(file, (_ENUM, index), f"{file.package}.{enum.name}"), enum
        for element, message in self.messages():
            for index, enum in enumerate(message.enum_type):
                yield element.child(_NESTED_ENUM, index, enum.name), enum

    def values(self, element: Element, enum: EnumDescriptorProto) -> Iterator[tuple[Element, Any]]:
        for index, value in enumerate(enum.value):
            yield element.child(_VALUE, index, value.name), value


def _with_nested(
    element: Element, message: DescriptorProto
) -> Iterator[tuple[Element, DescriptorProto]]:
    if message.options.map_entry:
        return
    yield element, message
    for index, nested in enumerate(message.nested_type):
        yield from _with_nested(element.child(_NESTED_MESSAGE, index, nested.name), nested)
