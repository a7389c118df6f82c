"""Protobuf definitions: messages, enums, services and their calls, by their braces."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tandemkit.ml.documents.code import Definition, code_document, in_order
from tandemkit.ml.documents.document import Document
from tandemkit.ml.documents.media import PROTO

_PART = re.compile(
    r"//[^\n]*"
    r"|/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)"
    r"|\"(?:\\.|[^\"\\\n])*+\"?"
    r"|'(?:\\.|[^'\\\n])*+'?"
    r"|\n|[{};]"
    r"|\b(?:message|enum|service|rpc|extend)[^\S\n]+([\w.]+)"
)
_DEPTH_MAX = 6


@dataclass(slots=True)
class _Open:
    name: str
    line: int
    depth: int
    inner: list[Definition] = field(default_factory=list)


def proto_document(text: str) -> Document:
    """What a service calls belongs to the service, and a comment to what stands below it."""
    return code_document(text, PROTO, _definitions, ("//", "/*", "*"))


def _definitions(text: str) -> Sequence[Definition] | None:
    root = _Open("", 0, -1)
    opened = [root]
    line = depth = 0
    for found in _PART.finditer(text):
        said = found[0]
        line += said.count("\n")
        if found[1]:
            opened.append(_Open(found[1], line, depth))
        elif said == "{":
            depth += 1
        elif said in {"}", ";"}:
            depth -= said == "}"
            if len(opened) > 1 and depth <= opened[-1].depth:
                ended = opened.pop()
                if len(opened) <= _DEPTH_MAX:
                    inner = in_order(iter(ended.inner))
                    opened[-1].inner.append(Definition(ended.name, ended.line, line + 1, inner))
    return in_order(_outermost(opened))


def _outermost(opened: list[_Open]) -> Iterator[Definition]:
    """What was closed; of a file that ends too early also what is in what was not."""
    for one in opened:
        yield from one.inner
