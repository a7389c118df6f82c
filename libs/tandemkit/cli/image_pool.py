"""The contracts of this checkout as descriptors, for what a server's reflection does not tell."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import DESCRIPTOR as STRUCT
from google.protobuf.struct_pb2 import Struct

from tandemkit.cli.call_flags import is_map, repeated
from tandemkit.core.environment import Environment
from tandemkit.written.contract_comments import image_of

_ANY = "google.protobuf.Any"


def pool_of(image: FileDescriptorSet) -> Any:
    """A pool of its own; the stubs leave its methods untyped."""
    pool: Any = DescriptorPool()
    for file in image.file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


class Pools:
    """Where the type of an `Any` is looked up: at the server first, then in the checkout."""

    def __init__(self, server: Any, environment: Environment) -> None:
        self._server, self._environment = server, environment

    @cached_property
    def _checkout(self) -> Any:
        image = image_of(self._environment)
        return pool_of(image) if image.file else STRUCT.pool

    def FindMessageTypeByName(self, name: str) -> Descriptor:
        try:
            found: Descriptor = self._server.FindMessageTypeByName(name)
        except KeyError:
            pool = STRUCT.pool if name == Struct.DESCRIPTOR.full_name else self._checkout
            found = pool.FindMessageTypeByName(name)
        return found

    def close_unknown(self, message: Message) -> None:
        """Each `Any` below whose type nobody here knows becomes a struct with its name and bytes:
        protobuf's JSON has no other form for it.
        """
        for field, value in message.ListFields():
            if field.message_type is None:
                continue
            for one in _messages(field, value):
                if one.DESCRIPTOR.full_name != _ANY:
                    self.close_unknown(one)
                elif not self._knows(one.type_url.rpartition("/")[2]):
                    closed = Struct()
                    closed["type_url"] = one.type_url
                    closed["base64"] = base64.b64encode(one.value).decode()
                    one.type_url = f"type.googleapis.com/{closed.DESCRIPTOR.full_name}"
                    one.value = closed.SerializeToString()

    def _knows(self, name: str) -> bool:
        try:
            self.FindMessageTypeByName(name)
        except KeyError:
            return False
        return True


def _messages(field: FieldDescriptor, value: Any) -> Iterable[Any]:
    if is_map(field):
        entry = field.message_type.fields_by_name["value"]
        return value.values() if entry.message_type is not None else ()
    return value if repeated(field) else (value,)
