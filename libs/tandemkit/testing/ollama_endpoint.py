"""An endpoint after Ollama's published HTTP API, whose model talks by a script: what it says
follows from the prompt and the seed. What a test tells it to answer instead comes first.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

MODEL: Final = "parrot"
_WORDS: Final = (
    "the ",
    "pump ",
    "of ",
    "oak ",
    "turns ",
    "über ",
    "naïve ",
    "小川 ",
    "🪿 ",
    "slowly ",
)
_LENGTH: Final = 40
_TOO_LONG: Final = "the input length exceeds the context length"


@dataclass
class OllamaEndpoint:
    """`asked` are the bodies of requests by path. Of streams, `left` counts those whose client was
    gone before the end. With a `gate`, streams stop before word `gate_at` until it is set.
    `cut_at` breaks the connection before that word, `fails_at` sends a failure instead of it.
    """

    address: str = ""
    models: tuple[str, ...] = (MODEL,)
    embedders: tuple[str, ...] = ()
    remote: tuple[str, ...] = ()
    context_tokens: int = 4096
    has_tools: bool = True
    gate: asyncio.Event | None = None
    gate_at: int = 3
    cut_at: int | None = None
    fails_at: int | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    instead: deque[tuple[int, object]] = field(default_factory=deque)
    left: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, holds: Callable[[OllamaEndpoint], bool]) -> None:
        """Returns when what it counts is so."""
        async with asyncio.timeout(10):
            while not holds(self):
                self._changed.clear()
                await self._changed.wait()

    async def version(self, _request: web.Request) -> web.Response:
        """GET /api/version."""
        return web.json_response({"version": "0.17.4"})

    async def tags(self, _request: web.Request) -> web.Response:
        """GET /api/tags."""
        self.asked.append(("/api/tags", {}))
        here = [_listed(name) for name in self.models]
        away = [_listed(name) | {"remote_host": "https://cloud.example"} for name in self.remote]
        return web.json_response({"models": [*away, *here]})

    async def shown(self, request: web.Request) -> web.Response:
        """POST /api/show."""
        name = (await request.json())["model"].removesuffix(":latest")
        able = ["embedding"] if name in self.embedders else ["completion", "tools"]
        return web.json_response({"capabilities": able})

    async def loaded(self, _request: web.Request) -> web.Response:
        """GET /api/ps."""
        loaded = _listed(self.models[0]) | {"context_length": self.context_tokens}
        return web.json_response({"models": [loaded]})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """POST /api/chat, POST /api/generate."""
        body = await request.json()
        self.asked.append((request.path, body))
        self._changed.set()
        if self.instead:
            status, said = self.instead.popleft()
            return web.json_response(said, status=status)
        if refused := self._refusal(body):
            status, message = refused
            return web.json_response({"error": message}, status=status)
        lines = _lines(body)
        if body.get("stream", True):
            return await self._streamed(request, lines)
        return web.json_response(_whole(lines))

    def _refusal(self, body: Mapping[str, Any]) -> tuple[int, str] | None:
        name = body["model"]
        if name.removesuffix(":latest") not in self.models:
            return HTTPStatus.NOT_FOUND, f"model '{name}' not found"
        if body.get("tools") and not self.has_tools:
            return HTTPStatus.BAD_REQUEST, f"registry/{name} does not support tools"
        if len(_prompt(body).split()) > self.context_tokens and not body.get("truncate", True):
            return HTTPStatus.BAD_REQUEST, _TOO_LONG
        return None

    async def _streamed(
        self, request: web.Request, lines: list[dict[str, Any]]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        is_over = False
        try:
            for number, line in enumerate(lines):
                if self.gate is not None and number == self.gate_at:
                    await self.gate.wait()
                if number == self.cut_at:
                    assert request.transport is not None
                    request.transport.abort()
                told = {"error": "out of memory"} if number == self.fails_at else line
                await response.write(json.dumps(told).encode() + b"\n")
            await response.write_eof()
            is_over = True
        finally:
            self.left += not is_over
            self._changed.set()
        return response


def _listed(name: str) -> dict[str, Any]:
    full = name if ":" in name else f"{name}:latest"
    digest = hashlib.sha256(full.encode()).hexdigest()
    return {"name": full, "model": full, "size": 1, "digest": digest}


def _prompt(body: Mapping[str, Any]) -> str:
    said = body.get("messages") or [{"role": "", "content": body.get("prompt", "")}]
    return "\n".join(f"{one['role']}: {one['content']}" for one in said)


def _lines(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As a stream tells the answer: words, or a call of the first tool where a tool is spoken of,
    and the end with its figures.
    """
    options, prompt = body.get("options") or {}, _prompt(body)
    seed = f"{options.get('seed', 0)} {prompt}"
    if body.get("tools") and "tool" in prompt:
        name = body["tools"][0]["function"]["name"]
        function = {"index": 0, "name": name, "arguments": {"place": _word(seed, 0), "number": 3}}
        calls = [{"id": "call_0", "function": function}]
        said = [{"role": "assistant", "content": "", "tool_calls": calls}]
        words, reason = [""], "stop"
    else:
        words, reason = _words(body, options, seed)
        said = [{"role": "assistant", "content": word} for word in words]
    key = "message" if "messages" in body else "response"
    parts = said if key == "message" else words
    found = [{"model": body["model"], key: part, "done": False} for part in parts]
    nothing = {"role": "assistant", "content": ""} if key == "message" else ""
    figures = {"prompt_eval_count": len(prompt.split()) or 1, "eval_count": len(words)}
    last = {"model": body["model"], key: nothing, "done": True, "done_reason": reason}
    return [*found, last | figures]


def _whole(lines: list[dict[str, Any]]) -> dict[str, Any]:
    *parts, last = lines
    if "response" in last:
        return last | {"response": "".join(part["response"] for part in parts)}
    content = "".join(part["message"]["content"] for part in parts)
    calls = [call for part in parts for call in part["message"].get("tool_calls", ())]
    message = {"role": "assistant", "content": content} | ({"tool_calls": calls} if calls else {})
    return last | {"message": message}


def _words(body: Mapping[str, Any], options: Mapping[str, Any], seed: str) -> tuple[list[str], str]:
    if form := body.get("format"):
        text = json.dumps(_object(form, seed), ensure_ascii=False)
        words = [text[at : at + 5] for at in range(0, len(text), 5)]
    else:
        words = [_word(seed, number) for number in range(_LENGTH)]
    for stop in options.get("stop", ()):
        words = words[: next((at for at, word in enumerate(words) if stop in word), len(words))]
    limit = options.get("num_predict", len(words))
    return words[:limit], "length" if limit < len(words) else "stop"


def _object(form: object, seed: str) -> Any:
    """The smallest thing of a schema."""
    match form:
        case {"const": value}:
            return value
        case {"anyOf": [first, *_]}:
            return _object(first, seed)
        case {"properties": dict() as wanted}:
            return {name: _object(one, seed) for name, one in wanted.items()}
        case {"type": "integer"}:
            return 7
        case "json" | {"type": "object"}:
            return {"said": _word(seed, 0)}
        case _:
            return _word(seed, 0)


def _word(seed: str, number: int) -> str:
    digest = hashlib.sha256(f"{number} {seed}".encode()).hexdigest()
    return _WORDS[int(digest[:8], 16) % len(_WORDS)]


@asynccontextmanager
async def ollama_endpoint(
    endpoint: OllamaEndpoint | None = None, port: int = 0
) -> AsyncIterator[OllamaEndpoint]:
    """At a port of its own, unless one is said."""
    endpoint = endpoint or OllamaEndpoint()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/api/chat", endpoint.answer)
    app.router.add_post("/api/generate", endpoint.answer)
    app.router.add_get("/api/tags", endpoint.tags)
    app.router.add_post("/api/show", endpoint.shown)
    app.router.add_get("/api/ps", endpoint.loaded)
    app.router.add_get("/api/version", endpoint.version)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        host, port = runner.addresses[0][:2]
        endpoint.address = f"http://{host}:{port}"
        yield endpoint
    finally:
        await runner.cleanup()
