"""The methods that contracts mark as tools, as the protocol lists them. Everything that is said of
one comes from its contract; nothing that an agent answers or a user wrote ever does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.gateway.http.directory import Directory, Service
from tandemkit.rpc.contract import Method
from tandemkit.written.contract_comments import Comments
from tandemkit.written.json_schema.forms import Form, Schema
from tandemkit.written.json_schema.messages import schema_of

# Clients put a name of their own before it, and models take 64 characters in all.
NAME_CHARS_MAX: Final = 50
_DIGEST_CHARS: Final = 8
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]")
_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# How it fails is told when it does, and then with what to do.
_FAILURES: Final = re.compile(r"(?:^|(?<=[.:] ))Fails (?:with|as|besides|likewise) .*$", re.DOTALL)
# What contracts say in words, read when it is first needed.
Saying = Callable[[], Comments]
MESSAGES: Final = "messages"
TRUNCATED: Final = "truncated"


@dataclass(frozen=True, slots=True)
class Tool:
    """One of them. `agent` and `method` are how the directory knows it. `takes_keys` says whether a
    caller's own key is enough.
    """

    name: str
    agent: str
    short: str
    method: str
    takes_keys: bool
    definition: Mapping[str, Any]


def name_of(agent: str, method: str) -> str:
    """`memory-knowledge-base_Ask`: of letters, digits, hyphens and underscores, and never long."""
    name = _NOT_IN_NAMES.sub("-", f"{agent}_{method}")
    if len(name) <= NAME_CHARS_MAX:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_CHARS]
    return f"{name[: NAME_CHARS_MAX - _DIGEST_CHARS - 1]}-{digest}"


def tools_of(services: Iterable[Service], comments: Comments) -> dict[str, Tool]:
    """By name, in the order of the names: clients keep what they were told as long as it is the
    same.
    """
    found = [
        _tool(service, method, comments)
        for service in services
        for method in service.methods.values()
        if method.tool and not method.client_streaming
    ]
    return {one.name: one for one in sorted(found, key=lambda one: one.name)}


def _tool(service: Service, method: Method, comments: Comments) -> Tool:
    name = name_of(service.short, method.name)
    full_name = method.path.removeprefix("/").replace("/", ".")
    definition = {
        "name": name,
        "title": _title(service, method),
        "description": _description(comments.of(full_name), comments.summary(service.name)),
        "inputSchema": _input(method, comments),
        "outputSchema": _output(method, comments),
        "annotations": {
            "title": _title(service, method),
            "readOnlyHint": method.reads,
            # A contract marks nothing that overwrites or deletes.
            "destructiveHint": False,
            "idempotentHint": method.retryable,
        },
    }
    takes_keys = method.asks_caller or method.public
    return Tool(name, service.name, service.short, method.name, takes_keys, definition)


def _title(service: Service, method: Method) -> str:
    """`Search knowledge (memory-knowledge-base)`."""
    first, *rest = _WORDS.split(method.name)
    words = [one if one.isupper() else one.lower() for one in rest]
    return f"{' '.join((first, *words))} ({service.short})"


def _description(of_method: str, of_service: str) -> str:
    said = _FAILURES.sub("", of_method).strip()
    return f"{said} Of an agent: {of_service}" if of_service else said


def _input(method: Method, comments: Comments) -> Schema:
    kind: Any = method.request.DESCRIPTOR
    schema = schema_of(kind, comments, Form.PREFERRED)
    return {"properties": {}, **schema}


def _output(method: Method, comments: Comments) -> Schema:
    kind: Any = method.response.DESCRIPTOR
    schema = schema_of(kind, comments, Form.WRITTEN)
    if not method.server_streaming:
        return schema
    # A tool has one answer, so a stream is all of its messages.
    dialect, definitions = schema.pop("$schema"), schema.pop("$defs", None)
    whole: Schema = {
        "$schema": dialect,
        "type": "object",
        "properties": {
            MESSAGES: {
                "type": "array",
                "items": schema,
                "description": "What the agent sent, in its order.",
            },
            TRUNCATED: {
                "type": "boolean",
                "description": "Whether there was more than one answer holds.",
            },
        },
        "required": [MESSAGES, TRUNCATED],
    }
    return whole | ({"$defs": definitions} if definitions else {})


class Catalogue:
    """The tools of the fleet as it is. Written anew when an agent or its contract is another."""

    def __init__(self, directory: Directory, comments: Saying) -> None:
        self._directory, self._comments = directory, comments
        self._version = -1
        self._tools: dict[str, Tool] = {}

    async def tools(self) -> Mapping[str, Tool]:
        """All. Raises Denied where no agent was ever known."""
        services = await self._directory.services()
        if self._version != self._directory.version:
            self._version = self._directory.version
            self._tools = tools_of(services, self._comments())
        return self._tools

    async def tool(self, name: str) -> Tool | None:
        """What is known by that name; the fleet is asked where that is nothing."""
        return self._tools.get(name) or (await self.tools()).get(name)
