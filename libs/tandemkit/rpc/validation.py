"""The rules on the fields of a contract, run over a request before its handler sees it."""

from __future__ import annotations

import functools
from typing import Any

import protovalidate
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from tandemkit.rpc import quick
from tandemkit.rpc.failure import Violation

# One engine for the process: it compiles a message type's rules once, on first use.
_ENGINE = protovalidate.Validator()


@functools.cache
def surely_good(kind: Descriptor) -> quick.Sure:
    """What is True of a message of this type only where it breaks no rule, and may be False of a
    good one: then the engine is asked.
    """
    return quick.check_of(kind) or _unsure


def violations(message: Message) -> list[Violation]:
    """Every broken rule, in the order of the fields; empty for a good message."""
    return [] if surely_good(message.DESCRIPTOR)(message) else ask_engine(message)


def ask_engine(message: Message) -> list[Violation]:
    """The same without the quick check, whose tests compare the two."""
    found = _ENGINE.collect_violations(message)
    return [Violation(_path(one.proto), one.proto.message) for one in found]


def _unsure(_message: object) -> bool:
    return False


def _path(violation: Any) -> str:
    """The field at fault as a reader would write it: `agents[0].name`, `labels["a"]`."""
    path = ""
    for element in violation.field.elements if violation.field else ():
        path += f".{element.field_name}" if path else element.field_name
        subscript = element.subscript
        if subscript is not None:
            quoted = f'"{subscript.value}"' if subscript.field == "string_key" else subscript.value
            path += f"[{quoted}]"
    return path
