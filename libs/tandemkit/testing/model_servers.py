"""A server of language models after OpenAI's published HTTP API, with a model that talks by a
script: what it says follows from the prompt and the seed. What a test tells it to answer instead
comes first.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tandemkit.core.clock import SystemClock

MODEL = "parrot"
_WORDS = (
    *("the", "a", "pump", "wheel", "mill", "of", "oak", "water", "runs", "turns", "slowly"),
    *("where", "herons", "über", "naïve", "小川", "🪿"),
)
_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Instead:
    """Of an answer: a status with a body; `hangs` gives none at all."""

    status: int = 500
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False


@dataclass
class ModelServer:
    """`asked` are the bodies of requests, `shown` the keys that came with them. Of streams, `begun`
    counts those that began, `left` those whose client was gone before the end.

    Each part of a stream has `words_at_once` and takes `delay_s`. With a `gate`, streams stop
    before part `gate_at` until it is set. `cut_at` breaks the connection before that part,
    `cuts` does so once for each of the next streams, `fails_at` sends a failure instead of it.
    """

    address: str = ""
    key: str = ""
    models: tuple[str, ...] = (MODEL,)
    context_tokens: int = 4000
    delay_s: float = 0.0
    cut_at: int | None = None
    fails_at: int | None = None
    gate: asyncio.Event | None = None
    gate_at: int = 3
    words_at_once: int = 1
    is_fickle: bool = False
    says_usage: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    instead: deque[Instead] = field(default_factory=deque)
    cuts: deque[int] = field(default_factory=deque)
    begun: int = 0
    left: int = 0
    at_once: int = 0
    at_once_most: int = 0
    _ids: Iterator[int] = field(default_factory=itertools.count)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, holds: Callable[[ModelServer], bool]) -> None:
        """Returns when what it counts is so."""
        async with asyncio.timeout(10):
            while not holds(self):
                self._changed.clear()
                await self._changed.wait()

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        return await self._served(request, _Chat)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/completions."""
        return await self._served(request, _Text)

    async def listed(self, request: web.Request) -> web.Response:
        """GET /v1/models."""
        if refused := await self._refused(request, {"model": self.models[0]}):
            return refused
        data = [
            {"id": one, "object": "model", "max_model_len": self.context_tokens}
            for one in self.models
        ]
        return web.json_response({"object": "list", "data": data})

    async def _served(self, request: web.Request, shape: type[_Chat]) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(body)
        self.at_once += 1
        self.at_once_most = max(self.at_once, self.at_once_most)
        self._changed.set()
        try:
            if refused := await self._refused(request, body):
                return refused
            said = shape(body, next(self._ids) if self.is_fickle else 0)
            if said.prompt_tokens > self.context_tokens:
                message = f"This model's maximum context length is {self.context_tokens} tokens."
                return _error(400, message, "context_length_exceeded")
            if body.get("stream"):
                return await self._streamed(request, said)
            await SystemClock().sleep(self.delay_s * len(said.words))
            return web.json_response(said.whole(with_usage=self.says_usage))
        finally:
            self.at_once -= 1
            self._changed.set()

    async def _refused(self, request: web.Request, body: Mapping[str, Any]) -> web.Response | None:
        self.shown.append(request.headers.get("Authorization", ""))
        if self.instead:
            said = self.instead.popleft()
            if said.hangs:
                await asyncio.Event().wait()
            return web.json_response(said.body, status=said.status, headers=said.headers)
        if self.key and self.shown[-1] != f"Bearer {self.key}":
            return _error(401, "Incorrect API key provided", "invalid_api_key")
        if body["model"] not in self.models:
            return _error(404, f"The model `{body['model']}` does not exist", "model_not_found")
        return None

    async def _streamed(self, request: web.Request, said: _Chat) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.begun += 1
        self._changed.set()
        with_usage = self.says_usage and said.body.get("stream_options", {}).get("include_usage")
        cut_at = self.cuts.popleft() if self.cuts else self.cut_at
        is_over = False
        try:
            events = said.events(self.words_at_once, with_usage=bool(with_usage))
            for number, event in enumerate(events):
                await SystemClock().sleep(self.delay_s)
                if self.gate is not None and number == self.gate_at:
                    await self.gate.wait()
                if number == cut_at:
                    assert request.transport is not None
                    request.transport.close()
                broken = {"error": {"message": "out of memory", "code": 500}}
                told = json.dumps(broken if number == self.fails_at else event)
                await response.write(f"data: {told}\n\n".encode())
            await response.write(b"data: [DONE]\n\n")
            await response.write_eof()
            is_over = True
        finally:
            self.left += not is_over
            self._changed.set()
        return response


class _Chat:
    """What the script says to a conversation."""

    object = "chat.completion"

    def __init__(self, body: Mapping[str, Any], mood: int) -> None:
        self.body = body
        prompt = self._prompt()
        seed = f"{body.get('seed', 0)} {body.get('temperature', '')} {mood} {prompt}"
        self.prompt_tokens = len(prompt.split()) or 1
        self.calls = self._calls(seed)
        self.words, self.reason = ([], "tool_calls") if self.calls else self._words(seed)

    def whole(self, *, with_usage: bool) -> dict[str, Any]:
        answer = self._event([self._choice("".join(self.words)) | {"finish_reason": self.reason}])
        return answer | ({"usage": self._usage()} if with_usage else {})

    def events(self, at_once: int, *, with_usage: bool) -> Iterator[dict[str, Any]]:
        """As a stream tells it, so many words at once."""
        for at in range(0, len(self.words), at_once):
            words = "".join(self.words[at : at + at_once])
            yield self._event([self._delta({"content": words}, words)])
        for number, call in enumerate(self.calls):
            yield self._event([self._delta({"tool_calls": [_begun(number, call)]}, "")])
            for piece in _pieces(call["function"]["arguments"]):
                more = {"index": number, "function": {"arguments": piece}}
                yield self._event([self._delta({"tool_calls": [more]}, "")])
        yield self._event([self._delta({}, "") | {"finish_reason": self.reason}])
        if with_usage:
            yield self._event([]) | {"usage": self._usage()}

    def _prompt(self) -> str:
        return "\n".join(f"{one['role']}: {one['content']}" for one in self.body["messages"])

    def _choice(self, text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text or None}
        return {"index": 0, "message": message | ({"tool_calls": self.calls} if self.calls else {})}

    def _delta(self, delta: dict[str, Any], _text: str) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "finish_reason": None}

    def _calls(self, seed: str) -> list[dict[str, Any]]:
        """One call of the first tool, or of the one that is chosen, where a tool is asked for."""
        tools, choice = self.body.get("tools"), self.body.get("tool_choice", "auto")
        if not tools or choice == "none" or (choice == "auto" and "tool" not in self._prompt()):
            return []
        name = tools[0]["function"]["name"]
        if isinstance(choice, dict):
            name = choice["function"]["name"]
        arguments = json.dumps({"place": _word(seed, 0), "number": 3}, ensure_ascii=False)
        function = {"name": name, "arguments": arguments}
        return [{"id": f"call_{_drawn(seed)}", "type": "function", "function": function}]

    def _words(self, seed: str) -> tuple[list[str], str]:
        if form := self.body.get("response_format"):
            return _pieces(json.dumps(_object(form, seed), ensure_ascii=False)), "stop"
        words = [f"{_word(seed, number)} " for number in range(_LENGTH)]
        stops = self.body.get("stop") or ()
        ends = [at for at, word in enumerate(words) if any(stop in word for stop in stops)]
        words = words[: min(ends, default=len(words))]
        limit = self.body.get("max_tokens") or len(words)
        return words[:limit], "length" if limit < len(words) else "stop"

    def _usage(self) -> dict[str, int]:
        asked, said = self.prompt_tokens, len(self.words) or 1
        return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}

    def _event(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        model = self.body["model"]
        return {
            "id": "c-1",
            "object": self.object,
            "created": 1,
            "model": model,
            "choices": choices,
        }


class _Text(_Chat):
    """What the script says behind a prompt."""

    object = "text_completion"

    def _prompt(self) -> str:
        return str(self.body["prompt"])

    def _choice(self, text: str) -> dict[str, Any]:
        return {"index": 0, "text": text}

    def _delta(self, _delta: dict[str, Any], text: str) -> dict[str, Any]:
        return {"index": 0, "text": text, "finish_reason": None}


def _drawn(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def _word(seed: str, number: int) -> str:
    return _WORDS[_drawn(f"{number} {seed}") % len(_WORDS)]


def _pieces(text: str) -> list[str]:
    return [text[at : at + 5] for at in range(0, len(text), 5)]


def _begun(number: int, call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"] | {"arguments": ""}
    return {"index": number, "id": call["id"], "type": "function", "function": function}


def _object(form: Mapping[str, Any], seed: str) -> dict[str, Any]:
    """Of a schema, what it requires: strings and numbers."""
    wanted = form.get("json_schema", {}).get("schema", {}).get("properties", {"said": {}})
    values: dict[str, Any] = {"integer": 7, "number": 7.5, "boolean": True, "array": []}
    return {name: values.get(one.get("type"), _word(seed, 0)) for name, one in wanted.items()}


def _error(status: int, message: str, code: str) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "code": code}
    return web.json_response({"error": error}, status=status)


@asynccontextmanager
async def model_server(server: ModelServer | None = None) -> AsyncIterator[ModelServer]:
    """At an address of its own: `http://host:port`, below which is `/v1`."""
    server = server or ModelServer()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_post("/v1/completions", server.complete)
    app.router.add_get("/v1/models", server.listed)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        server.address = f"http://{host}:{port}"
        yield server
    finally:
        await runner.cleanup()
