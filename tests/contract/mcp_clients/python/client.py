"""The official SDK's client against our server: what it makes of our answers, as JSON on stdout.
Started with the way to the server, as JSON: `url` and `authorization`, or `argv` and `environment`;
and with a mode of the client's own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable
from typing import Any

import anyio  # pants: no-infer-dep
import httpx2  # pants: no-infer-dep
from mcp import Client, MCPError, StdioServerParameters  # pants: no-infer-dep
from mcp.client.streamable_http import streamable_http_client  # pants: no-infer-dep

ECHO, TAIL = "probe-probe_Echo", "probe-probe_Tail"
WITHIN_S = 20.0


async def main(way: dict[str, Any], mode: str) -> dict[str, Any]:
    changed = asyncio.Event()

    async def heard(message: Any) -> None:
        if "list_changed" in str(getattr(message, "method", "")):
            changed.set()

    async def talked(server: Any) -> dict[str, Any]:
        async with Client(server, mode=mode, message_handler=heard, cache=None) as client:
            return await facts(client, changed, is_modern=mode == "auto")

    if "argv" in way:
        program, *arguments = way["argv"]
        return await talked(
            StdioServerParameters(command=program, args=arguments, env=way["environment"])
        )
    async with httpx2.AsyncClient(headers={"authorization": way["authorization"]}) as http:
        return await talked(streamable_http_client(way["url"], http_client=http))


async def facts(client: Client, changed: asyncio.Event, *, is_modern: bool) -> dict[str, Any]:
    tools = (await client.list_tools()).tools
    echoed = await client.call_tool(ECHO, {"text": "Grüße \u2028 🌍"})
    odd = await client.call_tool(ECHO, {"text": "odd"})
    resources = (await client.list_resources()).resources
    templates = (await client.list_resource_templates()).resource_templates
    prompt = await client.get_prompt("ask-with-citations", {"question": "Why?"})
    found: dict[str, Any] = {
        "revision": client.session.protocol_version,
        "tools": {one.name: one.model_dump(by_alias=True, exclude_none=True) for one in tools},
        "echo": echoed.structured_content,
        "odd": [odd.is_error, odd.content[0].text],
        "unknown": await code_of(client.call_tool("nobody_Nothing", {})),
        "progress": await progress(client),
        "resources": [str(one.uri) for one in resources],
        "templates": [one.uri_template for one in templates],
        "read": (await client.read_resource(resources[0].uri)).contents[0].text,
        "absent": await code_of(client.read_resource(f"{resources[0].uri}-not")),
        "prompt": [one.content.type for one in prompt.messages],
    }
    await cancel(client)
    known = set(found["tools"])
    found["changed"] = await told_of_change(client, changed, known, is_modern=is_modern)
    return found


async def progress(client: Client) -> list[list[object]]:
    told: list[list[object]] = []

    async def hear(done: float, _total: float | None, said: str | None) -> None:
        told.append([done, said])

    answer = await client.call_tool(TAIL, {"text": "one two"}, progress_callback=hear)
    return [*told, [one["text"] for one in answer.structured_content["messages"]]]


async def cancel(client: Client) -> None:
    """As soon as the agent has begun."""
    with anyio.CancelScope() as scope:

        async def hear(_done: float, _total: float | None, _said: str | None) -> None:
            scope.cancel()

        await client.call_tool(TAIL, {"text": "one forever"}, progress_callback=hear)


async def told_of_change(
    client: Client, changed: asyncio.Event, known: set[str], *, is_modern: bool
) -> list[str]:
    """The test has another agent come when it is asked to. What came is in the list then."""
    asked = client.call_tool(ECHO, {"text": "call another"})
    if is_modern:
        async with client.listen(tools_list_changed=True) as subscription:
            await asked
            await anext(subscription)
    else:
        await asked
        await changed.wait()
    return sorted({one.name for one in (await client.list_tools()).tools} - known)[:1]


async def code_of(call: Awaitable[object]) -> int:
    try:
        await call
    except MCPError as error:
        return int(error.error.code)
    return 0


async def within() -> None:
    async with asyncio.timeout(WITHIN_S):
        found = await main(json.loads(sys.argv[1]), sys.argv[2])
        sys.stdout.write(json.dumps(found))


asyncio.run(within())
