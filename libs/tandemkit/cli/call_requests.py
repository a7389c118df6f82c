"""The requests of one call: from a JSON, from flags, or from stdin one after another."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tandemkit.cli.call_flags import fill
from tandemkit.cli.output import Refusal
from tandemkit.written.json_misfit import misfit

_STDIN = "-"


def requests_of(method: MethodDescriptor, words: Sequence[str]) -> Iterator[Message]:
    """What the words behind the method say. A stream may hold any number of requests: several
    JSONs, or one in each line of stdin, read as they are sent.
    """
    texts, flags = _split(words)
    if method.client_streaming and texts == [_STDIN] and not flags:
        for line in sys.stdin:
            if line.strip():
                yield message_of(method, _read(method, line))
        return
    if len(texts) > 1 and not (method.client_streaming and not flags):
        raise Refusal(f"{method.full_name} takes one request; these are {len(texts)}.")
    for text in texts or ["{}"]:
        told = _read(method, sys.stdin.read() if text == _STDIN else text)
        fill(told, flags, method.input_type)
        yield message_of(method, told)


def message_of(method: MethodDescriptor, told: dict[str, Any]) -> Message:
    kind = method.input_type
    try:
        return json_format.ParseDict(told, GetMessageClass(kind)(), descriptor_pool=kind.file.pool)
    except (json_format.ParseError, OverflowError) as error:
        field, why = misfit(error)
        said = f"{field}: {why}" if field else why
        raise Refusal(f"the request is no {kind.full_name}: {said}.") from error


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """JSONs come first, then flags with their values."""
    at = next((i for i, word in enumerate(words) if word.startswith("--")), len(words))
    return list(words[:at]), list(words[at:])


def _read(method: MethodDescriptor, text: str) -> dict[str, Any]:
    name = method.input_type.full_name
    try:
        told = json.loads(text)
    except ValueError as error:
        raise Refusal(f"the request is no {name}: {error}") from error
    if not isinstance(told, dict):
        raise Refusal(f"the request is no {name}: it is no JSON object.")
    return told
