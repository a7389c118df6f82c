"""Events as people and programs read them. Their content is bytes to the store: what they mean is
in the contracts of this checkout.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC
from functools import cached_property
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.json_format import MessageToDict, SerializeToJsonError
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from tandem.platform.v1 import event_store_service_pb2 as pb
from tandemkit.cli.call_flags import is_open
from tandemkit.cli.harmless import json_text, one_line
from tandemkit.cli.image_pool import pool_of
from tandemkit.cli.log_text import word_of
from tandemkit.core.environment import Environment
from tandemkit.written.contract_comments import image_of


class Schemas:
    """The messages that an event's content may be."""

    def __init__(self, image: FileDescriptorSet) -> None:
        self._image = image

    @classmethod
    def read(cls, environment: Environment) -> Schemas:
        return cls(image_of(environment))

    @cached_property
    def _pool(self) -> Any:
        # Outside of a checkout it is what this process knows.
        return pool_of(self._image) if self._image.file else pb.DESCRIPTOR.pool

    def kind(self, schema: str) -> Descriptor:
        """KeyError where this checkout does not know it."""
        found: Descriptor = self._pool.FindMessageTypeByName(schema)
        return found

    def told(self, content: pb.EventContent) -> dict[str, Any] | None:
        """The content's fields; None where this checkout does not know what it is, or nobody could
        say it: a moment out of all time, or a message of a kind that is not there.
        """
        try:
            message = GetMessageClass(self.kind(content.schema)).FromString(content.content)
            return MessageToDict(
                message, preserving_proto_field_name=True, descriptor_pool=self._pool
            )
        except (KeyError, DecodeError, SerializeToJsonError, TypeError):
            return None


def event_line(event: pb.Event, schemas: Schemas) -> str:
    """When, where in the order, which stream, what, and what it says."""
    moment = event.record_time.ToDatetime(tzinfo=UTC).astimezone()
    told = schemas.told(event.content)
    if told is None:
        said = f"{len(event.content.content)} bytes of {event.content.schema}"
    else:
        said = _said(told, schemas.kind(event.content.schema), event.stream)
    name = event.content.schema.rpartition(".")[2]
    head = f"{moment:%m-%d %H:%M:%S}  #{event.position}  {one_line(event.stream)}  {one_line(name)}"
    return f"{head}  {one_line(said)}".rstrip()


def event_json(event: pb.Event, schemas: Schemas) -> str:
    """All of it; content that nobody here knows is in base64."""
    content = schemas.told(event.content)
    value: dict[str, Any] = {
        "position": event.position,
        "time": event.record_time.ToJsonString(),
        "stream": event.stream,
        "version": event.version,
        "id": event.id,
        "schema": event.content.schema,
        "content": content,
    }
    if content is None:
        value["content_base64"] = base64.b64encode(event.content.content).decode()
    return json_text(json.dumps(value, ensure_ascii=False))


def _flat(told: dict[str, Any], kind: Descriptor, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in told.items():
        field = kind.fields_by_name[name]
        if isinstance(value, dict) and is_open(field):
            yield from _flat(value, field.message_type, f"{prefix}{name}.")
        elif field.enum_type is not None and not isinstance(value, list):
            # Without the enum's own name, which each of its values begins with.
            shared = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
            yield f"{prefix}{name}", str(value).removeprefix(shared)
        else:
            yield f"{prefix}{name}", value


def _said(told: dict[str, Any], kind: Descriptor, stream: str) -> str:
    """What is neither the time of the line nor a part of its stream's name."""
    known = set(stream.split("/")) | {stream.partition("/")[2].replace("/", "-")}
    return "  ".join(
        f"{name}={word_of(value)}"
        for name, value in _flat(told, kind)
        if name != "time" and not (isinstance(value, str) and value in known)
    )
