"""What contracts say in their comments. Reflection does not tell them: the descriptors that servers
hold are without. So they are known of this code's own version, whatever language an agent is in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from tandem.options.v1 import options_pb2
from tandemkit.core.environment import Environment
from tandemkit.core.names import FAMILY_OF_OTHERS

# tools/stubs.py writes it beside the stubs, and a package that asks for it has it there too.
IMAGE = "contracts.binpb"
# Numbers of the repeated fields in descriptor.proto, which a comment's path is made of.
_OF_FILE = {4: "message_type", 5: "enum_type", 6: "service"}
_BELOW = {
    "message_type": {2: "field", 3: "nested_type", 4: "enum_type"},
    "nested_type": {2: "field", 3: "nested_type", 4: "enum_type"},
    "enum_type": {2: "value"},
    "service": {2: "method"},
}


def image_of(environment: Environment) -> FileDescriptorSet:
    """All contracts with their imports; empty where there are only stubs."""
    stubs = environment.stubs or Path(options_pb2.__file__).parents[3]
    try:
        return FileDescriptorSet.FromString((stubs / IMAGE).read_bytes())
    except FileNotFoundError:
        return FileDescriptorSet()


class Comments:
    """By full name of what they stand at; a service of another checkout has none."""

    def __init__(self, image: FileDescriptorSet) -> None:
        self._texts = {
            name: text
            for file in image.file
            if file.package.startswith("tandem.") or file.package in FAMILY_OF_OTHERS
            for name, text in _comments(file)
        }

    def of(self, full_name: str) -> str:
        """The comment as one paragraph; empty where there is none."""
        return self._texts.get(full_name, "")

    def summary(self, full_name: str) -> str:
        """Its first sentence."""
        first, end, _ = self.of(full_name).partition(". ")
        return f"{first}." if end else first


def _comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        if location.leading_comments and (name := _named(file, location.path)):
            yield f"{file.package}.{name}", " ".join(location.leading_comments.split())


def _named(file: FileDescriptorProto, path: Sequence[int]) -> str:
    """The name below the package of what stands at `path`; empty for an import, which has none."""
    element: Any = file
    known, names = _OF_FILE, []
    for number, index in zip(path[::2], path[1::2], strict=False):
        if (kind := known.get(number)) is None:
            return ""
        element = getattr(element, kind)[index]
        names.append(element.name)
        known = _BELOW.get(kind, {})
    return ".".join(names)
