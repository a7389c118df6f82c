"""What the fleet keeps, as resources: documents of the knowledge base, and memories. Their URIs are
their names below `tandem://memory/`; who may read them is asked of their agents.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.gateway.http import messages
from services.gateway.http.asking import Asked
from services.gateway.http.denied import Denied
from services.gateway.http.front import Front
from services.gateway.http.mcp import jsonrpc
from services.gateway.http.mcp.exchange import Exchange
from services.gateway.http.mcp.jsonrpc import INVALID_PARAMS, RESOURCE_NOT_FOUND, Fault, Params
from tandemkit.core.json_value import parsed

SCHEME: Final = "tandem://memory/"
# What is read of one document; the tool reads on behind it.
_CHARS_MAX: Final = 1_000_000
_PAGE: Final = 100
_URI_CHARS_MAX: Final = 1000
_PLAIN: Final = "text/plain"
_MARKDOWN: Final = "text/markdown"
_OWN_DOCUMENTS: Final = "tandem-docs"
_DEFAULT: Final = "default"
_URI: Final = re.compile(
    re.escape(SCHEME)
    + r"(namespaces/[a-z0-9][a-z0-9-]{0,62}/(documents|memories)/[A-Za-z0-9][A-Za-z0-9._-]{0,99})"
)
_AGENT_UNKNOWN: Final = "AGENT_UNKNOWN"
_NAMESPACES: Final = ("tandem.memory.v1.NamespaceService", "ListNamespaces")
# Also by agents that take other names than all do.
_ABSENT: Final = frozenset({"NOT_FOUND", "INVALID_ARGUMENT"})
# A namespace that the caller may not read has none for it; nor has an agent that is not there.
_NONE: Final = frozenset({_AGENT_UNKNOWN, "NAMESPACE_FORBIDDEN"})


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of them: how it is listed and read, and what templates say of it."""

    collection: str
    one: str
    description: str
    lists: tuple[str, str]
    reads: tuple[str, str]


KINDS: Final = {
    kind.collection: kind
    for kind in (
        Kind(
            "documents",
            "document",
            "A document of the fleet's knowledge base, as text.",
            ("tandem.memory.v1.KnowledgeBaseService", "ListDocuments"),
            ("tandem.memory.v1.KnowledgeBaseService", "GetDocument"),
        ),
        Kind(
            "memories",
            "memory",
            "A memory of the fleet, as text.",
            ("tandem.memory.v1.MemoryOrchestratorService", "ListMemories"),
            ("tandem.memory.v1.MemoryClientService", "GetMemory"),
        ),
    )
}


class Resources:
    """Read with what the caller showed."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def listed(self, exchange: Exchange) -> dict[str, Any]:
        """`resources/list`: one page. Raises Fault and Denied."""
        places = await self._places(exchange.asked)
        at, token = _place(exchange.params.get("cursor"), places)
        while True:
            kind, namespace = places[at]
            page = await self._page(exchange.asked, KINDS[kind], namespace, token)
            found = [_resource(KINDS[kind], one) for one in page.get(kind, ())]
            token = page.get("nextPageToken", "")
            at += not token
            if at == len(places):
                return {"resources": found}
            if found:
                return {"resources": found, "nextCursor": _cursor(*places[at], token)}

    @staticmethod
    def templates() -> dict[str, Any]:
        """`resources/templates/list`."""
        found = [
            {
                "uriTemplate": f"{SCHEME}namespaces/{{namespace}}/{kind.collection}/{{{kind.one}}}",
                "name": kind.one,
                "title": kind.one.capitalize(),
                "description": kind.description,
                "mimeType": _PLAIN,
            }
            for kind in KINDS.values()
        ]
        return {"resourceTemplates": found}

    async def read(self, exchange: Exchange) -> dict[str, Any]:
        """`resources/read`. Raises Fault and Denied."""
        uri = jsonrpc.text_of(exchange.params, "uri")
        found = _URI.fullmatch(uri)
        try:
            if found is not None:
                return {"contents": [await self._content(exchange.asked, uri, found[1], found[2])]}
        except Denied as error:
            if error.code not in _ABSENT:
                raise
        code = INVALID_PARAMS if exchange.is_modern else RESOURCE_NOT_FOUND
        raise Fault(
            code, "there is no such resource; resources/list has those there are", uri=uri[:1000]
        )

    async def names(self, asked: Asked, collection: str, namespace: str) -> list[str]:
        """Last parts of the names in one namespace, as far as one page goes."""
        kind = KINDS[collection]
        page = await self._page(asked, kind, namespace, "", size=1000)
        return [one["name"].rpartition("/")[2] for one in page.get(collection, ())]

    async def namespaces(self, asked: Asked) -> list[str]:
        """Those that have rules, and the two that are always there."""
        told = await self._asked(asked, _NAMESPACES, {"pageSize": 1000})
        named = [one["name"].rpartition("/")[2] for one in told.get("namespaces", ())]
        return list(dict.fromkeys((_OWN_DOCUMENTS, _DEFAULT, *named)))

    async def _places(self, asked: Asked) -> list[tuple[str, str]]:
        return [(kind, one) for one in await self.namespaces(asked) for kind in KINDS]

    async def _page(
        self, asked: Asked, kind: Kind, namespace: str, token: str, size: int = _PAGE
    ) -> dict[str, Any]:
        wanted = {"namespace": namespace, "pageSize": size, "pageToken": token}
        return await self._asked(asked, kind.lists, wanted)

    async def _content(self, asked: Asked, uri: str, name: str, collection: str) -> dict[str, Any]:
        if collection == "documents":
            parts = [part async for part in self._document(asked, name)]
            # Of all others it is the text that was found in them.
            is_markdown = parts[0]["document"].get("mediaType") == _MARKDOWN
            return {
                "uri": uri,
                "mimeType": _MARKDOWN if is_markdown else _PLAIN,
                "text": "".join(part.get("text", "") for part in parts),
            }
        told = await self._called(asked, KINDS[collection].reads, {"name": name})
        memory = told["memory"]
        return {"uri": uri, "mimeType": _PLAIN, "text": memory.get("text", "")}

    async def _document(self, asked: Asked, name: str) -> AsyncIterator[dict[str, Any]]:
        start = 0
        while True:
            wanted = {"name": name, "startChar": start}
            part = await self._called(asked, KINDS["documents"].reads, wanted)
            yield part
            start = part.get("nextChar", 0)
            if not start or start >= _CHARS_MAX:
                return

    async def _asked(self, asked: Asked, of: tuple[str, str], value: Params) -> dict[str, Any]:
        """Nothing where there is nothing for this caller."""
        try:
            return await self._called(asked, of, value)
        except Denied as error:
            if error.reason not in _NONE:
                raise
            return {}

    async def _called(self, asked: Asked, of: tuple[str, str], value: Params) -> dict[str, Any]:
        method = await self._front.directory.method(*of)
        response = await self._front.call(asked, method, messages.filled(method.request, value))
        return messages.dict_of(response)


def _resource(kind: Kind, one: Mapping[str, Any]) -> dict[str, Any]:
    name = one["name"]
    found: dict[str, Any] = {
        "uri": f"{SCHEME}{name}",
        "name": name,
        "description": kind.description,
        "mimeType": _PLAIN,
    }
    if title := one.get("title"):
        found["title"] = title
    if changed := one.get("updateTime") or one.get("learnedAt"):
        found["annotations"] = {"lastModified": changed}
    return found


def _cursor(kind: str, namespace: str, token: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([kind, namespace, token]).encode()).decode()


def _place(cursor: object, places: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Which of the places, and the token there. Raises Fault."""
    if cursor is None:
        return 0, ""
    try:
        kind, namespace, token = parsed(base64.urlsafe_b64decode(str(cursor)).decode())
        return places.index((kind, namespace)), str(token)
    except (ValueError, TypeError) as error:
        message = "the cursor is of no page of this listing; ask without one"
        raise Fault(INVALID_PARAMS, message) from error
