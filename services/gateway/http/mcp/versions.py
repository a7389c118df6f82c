"""The revisions of the protocol that are spoken here. Up to 2025-11-25 a client begins with a
handshake; since 2026-07-28 each request says by itself what it needs to.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final

from services.gateway.http.mcp.jsonrpc import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    UNSUPPORTED_VERSION,
    Fault,
    Incoming,
)

MODERN: Final = "2026-07-28"
# The newest first: it is offered to who asks for one that we do not know.
WITH_HANDSHAKE: Final = ("2025-11-25", "2025-06-18", "2025-03-26")
ALL: Final = (MODERN, *WITH_HANDSHAKE)
# What a client speaks that names none: the header came with the revision behind it.
UNNAMED: Final = "2025-03-26"
# That revision alone lets a client send several messages at once.
WITH_BATCHES: Final = UNNAMED

VERSION_HEADER: Final = "mcp-protocol-version"
METHOD_HEADER: Final = "mcp-method"
NAME_HEADER: Final = "mcp-name"
VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
_NAMED_BY: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_ENCODED: Final = ("=?base64?", "?=")


def agreed(asked: object) -> str:
    """Which revision a handshake ends with."""
    return str(asked) if asked in WITH_HANDSHAKE else WITH_HANDSHAKE[0]


def version_of(message: Incoming, headers: Mapping[str, str]) -> str:
    """Which revision a message is of. Raises Fault where that is none of ours, or where header and
    message do not say the same.
    """
    named = headers.get(VERSION_HEADER)
    if message.method == "initialize":
        return agreed(message.params.get("protocolVersion"))
    is_modern = VERSION_KEY in message.meta or (named is not None and named == MODERN)
    if not is_modern:
        if named is not None and named not in ALL:
            raise _unsupported(named)
        return named or UNNAMED
    if message.id is not None:
        _check(message, headers)
    return MODERN


def _check(message: Incoming, headers: Mapping[str, str]) -> None:
    """A request of the modern revision; of its notifications the protocol says nothing."""
    lacking = [key for key in (VERSION_KEY, CAPABILITIES_KEY) if key not in message.meta]
    if lacking:
        raise Fault(INVALID_PARAMS, f"`params._meta` lacks {' and '.join(lacking)}", 400)
    version = message.meta[VERSION_KEY]
    if not isinstance(version, str):
        raise Fault(INVALID_PARAMS, f"`params._meta` has a {VERSION_KEY} that is no text", 400)
    wanted = {VERSION_HEADER: version, METHOD_HEADER: message.method}
    name = message.params.get(_NAMED_BY.get(message.method, ""))
    if isinstance(name, str):
        wanted[NAME_HEADER] = name
    for header, value in wanted.items():
        if _decoded(headers.get(header)) != value:
            said = f"the header {header} does not say what the message says"
            raise Fault(HEADER_MISMATCH, said, 400)
    if version != MODERN:
        raise _unsupported(version)


def _unsupported(version: str) -> Fault:
    message = "this revision of the protocol is not spoken here"
    return Fault(UNSUPPORTED_VERSION, message, 400, supported=list(ALL), requested=version)


def _decoded(value: str | None) -> str | None:
    """None also for what is not decodable: it is equal to nothing."""
    before, after = _ENCODED
    if value is None or not (value.startswith(before) and value.endswith(after)):
        return value
    try:
        text = base64.b64decode(value[len(before) : -len(after)], validate=True)
        return text.decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
