"""`tools/call`: arguments become a request, responses a result."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from services.gateway.http import messages
from services.gateway.http.denied import Denied
from services.gateway.http.front import Front
from services.gateway.http.mcp import failures, jsonrpc
from services.gateway.http.mcp.exchange import Exchange
from services.gateway.http.mcp.jsonrpc import INVALID_PARAMS, Fault, Params
from services.gateway.http.mcp.tools import MESSAGES, TRUNCATED, Catalogue, Saying
from tandemkit.core.clock import Clock
from tandemkit.rpc.contract import Method

# One answer holds that much of a stream; the rest is not asked for.
_MESSAGES_MAX: Final = 1000
_BYTES_MAX: Final = 1 << 20
# Progress that comes faster than anybody reads is left out.
_PROGRESS_EACH_S: Final = 0.1
_SHOWN_CHARS_MAX: Final = 500


class ToolCalls:
    """Made with what the caller showed, like all calls of the front."""

    def __init__(self, front: Front, clock: Clock, catalogue: Catalogue, comments: Saying) -> None:
        self._front, self._catalogue = front, catalogue
        self._comments, self._clock = comments, clock

    async def call(self, exchange: Exchange) -> dict[str, Any]:
        """The result, also of a call that failed. Raises Fault where there is no such tool."""
        name = jsonrpc.text_of(exchange.params, "name")
        arguments = jsonrpc.object_of(exchange.params, "arguments")
        try:
            return await self._called(exchange, await self._method(name), arguments)
        except Denied as denied:
            exchange.log("error", tool=name, code=denied.code, reason=denied.reason)
            return failures.failed(denied, self._comments())

    async def _method(self, name: str) -> Method:
        """As its contract has it at this moment."""
        tool = await self._catalogue.tool(name)
        found = tool and await self._front.directory.method(tool.agent, tool.method)
        if not found or not found.tool:
            said = f"there is no tool {name[:100]!r}; tools/list has them all"
            raise Fault(INVALID_PARAMS, said)
        return found

    async def _called(
        self, exchange: Exchange, method: Method, arguments: Params
    ) -> dict[str, Any]:
        request = messages.filled(method.request, arguments)
        if not method.server_streaming:
            response = await self._front.call(exchange.asked, method, request)
            return _result(_value_of(response), [response])
        responses, is_cut = await self._gathered(exchange, method, request)
        if is_cut:
            exchange.log("notice", tool=method.path, truncated=True)
        written = [_value_of(one) for one in responses]
        return _result({MESSAGES: written, TRUNCATED: is_cut}, responses)

    async def _gathered(
        self, exchange: Exchange, method: Method, request: Message
    ) -> tuple[list[Message], bool]:
        """What a stream sends, up to what one answer holds, and whether there was more."""
        found: list[Message] = []
        size, told_s = 0, float("-inf")
        stream = self._front.stream(exchange.asked, method, request)
        async with contextlib.aclosing(stream):
            async for response in stream:
                size += response.ByteSize()
                if len(found) == _MESSAGES_MAX or (found and size > _BYTES_MAX):
                    return found, True
                found.append(response)
                now_s = self._clock.monotonic_s()
                if now_s - told_s >= _PROGRESS_EACH_S:
                    told_s = now_s
                    exchange.progress(len(found), _shown(response))
        return found, False


def _value_of(message: Message) -> dict[str, Any]:
    """With what is empty: to a model a field that lacks says nothing."""
    return messages.dict_of(message, is_whole=True)


def _result(value: Mapping[str, Any], told: Sequence[Message]) -> dict[str, Any]:
    """The same as a value and as text, and what is text in it as such."""
    content = [{"type": "text", "text": json.dumps(value, ensure_ascii=False)}]
    if text := _text_in(told):
        content.append({"type": "text", "text": text})
    return {"content": content, "structuredContent": value, "isError": False}


def _text_in(told: Sequence[Message]) -> str:
    """What one field of bytes holds over all messages, where that is text: JSON has it in base64,
    which no model reads.
    """
    found: dict[str, list[bytes]] = {}
    for message in told:
        for path, value in _bytes_in(message):
            found.setdefault(path, []).append(value)
    if len(found) != 1:
        return ""
    try:
        text = b"".join(next(iter(found.values()))).decode()
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text


def _bytes_in(message: Message, path: str = "") -> Iterator[tuple[str, bytes]]:
    for field, value in message.ListFields():
        if field.is_repeated:
            continue
        below = f"{path}.{field.name}"
        if field.type == FieldDescriptor.TYPE_BYTES:
            yield below, value
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            yield from _bytes_in(value, below)


def _shown(message: Message) -> str:
    """The beginning of a message, for people who watch it come."""
    text = jsonrpc.written(messages.dict_of(message))
    return (
        text
        if len(text) <= _SHOWN_CHARS_MAX
        else f"{text[:_SHOWN_CHARS_MAX]}\N{HORIZONTAL ELLIPSIS}"
    )
