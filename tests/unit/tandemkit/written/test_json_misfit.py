"""What does not fit a message, told by the reader of protobuf that is installed."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from tandem.platform.v1.port_registry_service_pb2 import AllocatePortRequest
from tandem.utility.v1.digest_pb2 import DigestBytesRequest
from tandem.utility.v1.quantity_pb2 import ConvertQuantityRequest
from tandem.utility.v1.text_pb2 import MeasureTextRequest, TruncateTextRequest
from tandemkit.written.json_misfit import misfit

SAID: list[tuple[type[Message], dict[str, Any], tuple[str, str]]] = [
    (MeasureTextRequest, {"text": 3}, ("text", "a text is expected")),
    (MeasureTextRequest, {"text": ["a"]}, ("text", "a text is expected")),
    (MeasureTextRequest, {"txt": "a"}, ("txt", "there is no such field; there is text")),
    (
        ConvertQuantityRequest,
        {"quantity": {"valu": 1}},
        ("quantity.valu", "there is no such field; there is value, unit"),
    ),
    (
        ConvertQuantityRequest,
        {"quantity": {"value": "abc"}},
        ("quantity.value", "abc is no number"),
    ),
    (DigestBytesRequest, {"content": 7}, ("content", "bytes are expected, as a text in base64")),
    (
        DigestBytesRequest,
        {"algorithm": "NOPE"},
        ("algorithm", "NOPE is no value of tandem.utility.v1.DigestAlgorithm"),
    ),
    (TruncateTextRequest, {"graphemesMax": "many"}, ("graphemesMax", "many is no whole number")),
    (TruncateTextRequest, {"graphemesMax": True}, ("graphemesMax", "True is no whole number")),
    (
        AllocatePortRequest,
        {"term": "soon"},
        ("term", "soon is no duration: seconds with an s, such as 1.5s"),
    ),
]


@pytest.mark.parametrize(("kind", "value", "said"), SAID)
def test_what_does_not_fit_is_told_with_its_field(
    kind: type[Message], value: dict[str, Any], said: tuple[str, str]
) -> None:
    """Whoever wrote it need not know how a reader in Python goes about it."""
    with pytest.raises(json_format.ParseError) as caught:
        json_format.ParseDict(value, kind())
    assert misfit(caught.value) == said


def test_what_is_not_known_is_told_as_it_was_said() -> None:
    """Without the place, which is told apart."""
    unknown = json_format.ParseError("Failed to parse a field: it is odd at Kind.a.")
    assert misfit(unknown) == ("a", "it is odd")
    assert misfit(OverflowError()) == ("", "it does not fit")
