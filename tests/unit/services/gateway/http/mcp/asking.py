"""Messages of the protocol as clients send them, without any client."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.unit.services.gateway.http.gateways import Gateway

MODERN = "2026-07-28"
BOTH = "application/json, text/event-stream"
_IDS = itertools.count(1)


def request(method: str, params: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Of a revision with a handshake."""
    return {"jsonrpc": "2.0", "id": next(_IDS), "method": method, "params": params or {}, **more}


def tool(name: str, arguments: Mapping[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    params: dict[str, Any] = {"name": name, "arguments": arguments or {}}
    return request("tools/call", params | ({"_meta": meta} if meta else {}))


def modern(method: str, params: Mapping[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    """Of the revision without one."""
    about = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    return request(method, {**(params or {}), "_meta": about | meta})


def modern_headers(message: Mapping[str, Any]) -> dict[str, str]:
    """What has to stand beside it."""
    params = message["params"]
    name = params.get("name", params.get("uri"))
    named = {"mcp-name": name} if name else {}
    return {"mcp-protocol-version": MODERN, "mcp-method": message["method"], **named}


async def told(it: Gateway, message: object, **headers: str) -> Any:
    """The JSON of an answer without events."""
    return (await answered(it, message, **headers))[1]


async def answered(it: Gateway, message: object, **headers: str) -> tuple[int, Any]:
    """Status and JSON."""
    return await it.post("/mcp", message, headers=_headers(headers))


@asynccontextmanager
async def events(
    it: Gateway, message: object = None, **headers: str
) -> AsyncIterator[tuple[aiohttp.ClientResponse, AsyncIterator[tuple[str, Any]]]]:
    """A stream of events, each with its id; by a GET where there is no message."""
    verb = "GET" if message is None else "POST"
    asked = it.client.request(
        verb, f"{it.url}/mcp", json=message, headers={"accept": BOTH, **_headers(headers)}
    )
    async with asked as response:
        yield response, _events(response)


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    identity = data = ""
    async for line in response.content:
        name, _, value = line.decode().rstrip("\n").partition(":")
        if name == "id":
            identity = value.strip()
        elif name == "data":
            data = value.strip()
        elif not name and not value:
            if data or identity:
                yield identity, json.loads(data) if data else None
            identity = data = ""


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in given.items()}
