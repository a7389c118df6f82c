"""Metadata that never sees a wire, held to the wire's rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import grpc

_KEY = re.compile("[0-9a-z_.-]+")
_TEXT = re.compile("[ -~]*")


class Metadatum(NamedTuple):
    """One pair, as a handler and a caller see it."""

    key: str
    value: str | bytes


Pairs: TypeAlias = tuple[Metadatum, ...]


def checked(metadata: Iterable[tuple[str, str | bytes]] | None) -> Pairs:
    """The same pairs, fixed, or the kind of error that gRPC raises for what it would not send."""
    if not metadata:
        return ()
    return tuple(_checked(key, value) for key, value in metadata)


def _checked(key: str, value: str | bytes) -> Metadatum:
    if not _KEY.fullmatch(key):
        raise grpc.aio.InternalError(f"metadata key {key!r} is invalid")
    if key.endswith("-bin"):
        if not isinstance(value, bytes):
            raise TypeError(f"metadata {key!r} takes bytes, not {type(value).__name__}")
        return Metadatum(key, value)
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise TypeError(f"metadata {key!r} takes text, not {type(value).__name__}")
    if not _TEXT.fullmatch(text):
        raise grpc.aio.InternalError(f"metadata {key!r} has a value that no header can have")
    return Metadatum(key, text)
