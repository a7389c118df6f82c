"""The rules on the fields of a contract, run over a request before its handler sees it."""

from __future__ import annotations

import functools
from typing import Any

import protovalidate
from google.protobuf.message import Message

from tandemkit.rpc import quick
from tandemkit.rpc.failure import Violation

# One engine for the process: it compiles a message type's rules once, on first use.
_ENGINE = protovalidate.Validator()
_quick = functools.cache(quick.check_of)


def violations(message: Message) -> list[Violation]:
    """Every broken rule, in the order of the fields; empty for a good message."""
    surely_good = _quick(message.DESCRIPTOR)
    if surely_good is not None and surely_good(message):
        return []
    return ask_engine(message)


def ask_engine(message: Message) -> list[Violation]:
    """The same without the quick check, whose tests compare the two."""
    found = _ENGINE.collect_violations(message)
    return [Violation(_path(one.proto), one.proto.message) for one in found]


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
