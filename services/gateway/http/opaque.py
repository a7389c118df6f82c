"""Messages inside of others (`google.protobuf.Any`) whose types the contract does not have, such as
the settings in a plan: as JSON they are bytes with the name of their type.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import wrappers_pb2
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message

_ANY: Final[str] = Packed.DESCRIPTOR.full_name
_BYTES: Final[str] = wrappers_pb2.BytesValue.DESCRIPTOR.full_name
_TYPE: Final = "@type"


def made_opaque(message: Message, pool: Any) -> Message:
    """A copy in which each of them is a BytesValue, whose type says besides what it was."""
    try:
        pool.FindFileByName(wrappers_pb2.DESCRIPTOR.name)
    except KeyError:
        pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    copy = type(message)()
    copy.CopyFrom(message)
    _wrap(copy, pool)
    return copy


def named(value: Any) -> Any:
    """The JSON of such a copy, in which they have their own types again."""
    if isinstance(value, list):
        return [named(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: named(one) for key, one in value.items()}
    if isinstance(said := found.get(_TYPE), str):
        found[_TYPE] = said.removesuffix(f"/{_BYTES}")
    return found


def _wrap(message: Any, pool: Any) -> None:
    if message.DESCRIPTOR.full_name == _ANY:
        if not _is_known(message.type_url, pool):
            message.value = wrappers_pb2.BytesValue(value=message.value).SerializeToString()
            message.type_url = f"{message.type_url}/{_BYTES}"
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if not field.is_repeated:
            _wrap(value, pool)
        elif not field.message_type.GetOptions().map_entry:
            for one in value:
                _wrap(one, pool)
        elif field.message_type.fields_by_name["value"].message_type is not None:
            for one in value.values():
                _wrap(one, pool)


def _is_known(type_url: str, pool: Any) -> bool:
    try:
        pool.FindMessageTypeByName(type_url.rpartition("/")[2])
    except KeyError:
        return False
    return True
