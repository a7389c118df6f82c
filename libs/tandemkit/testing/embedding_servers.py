"""Servers that embed, after the published HTTP APIs of OpenAI and of Ollama. Their model hashes
words; what a test tells them to answer instead comes first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tandemkit.ml.embedding.hashing import HashingEmbedder

MODEL = "some-words"


@dataclass(frozen=True, slots=True)
class Answer:
    """Instead of an embedding."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class EmbeddingServer:
    """`asked` are the requests for embeddings, `shown` the keys that came with them."""

    address: str = ""
    dimension: int = 64
    key: str = ""
    digest: str = "sha256:0123456789abcdef"
    asked: list[dict[str, Any]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    instead: deque[Answer] = field(default_factory=deque)

    async def openai(self, request: web.Request) -> web.Response:
        """POST /v1/embeddings."""
        if refused := await self._noted(request):
            return refused
        body = self.asked[-1]
        vectors = await self._vectors(body["input"], body.get("dimensions", self.dimension))
        data = [
            {"object": "embedding", "index": at, "embedding": vector}
            for at, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        # Nothing says in which order they come.
        answer = {"object": "list", "data": data[::-1], "model": MODEL, "usage": usage}
        return web.json_response(answer)

    async def ollama(self, request: web.Request) -> web.Response:
        """POST /api/embed."""
        if refused := await self._noted(request):
            return refused
        vectors = await self._vectors(self.asked[-1]["input"], self.dimension)
        return web.json_response({"model": MODEL, "embeddings": vectors, "prompt_eval_count": 1})

    async def tags(self, _request: web.Request) -> web.Response:
        """GET /api/tags."""
        known = {"name": f"{MODEL}:latest", "model": f"{MODEL}:latest", "digest": self.digest}
        return web.json_response({"models": [known]})

    async def _noted(self, request: web.Request) -> web.Response | None:
        self.asked.append(await request.json())
        self.shown.append(request.headers.get("Authorization", ""))
        if self.instead:
            said = self.instead.popleft()
            return web.json_response(said.body, status=said.status, headers=said.headers)
        if self.key and self.shown[-1] != f"Bearer {self.key}":
            error = {"message": "Incorrect API key provided", "type": "invalid_request_error"}
            return web.json_response({"error": error}, status=401)
        if self.asked[-1]["model"] != MODEL:
            return web.json_response({"error": {"message": "no such model"}}, status=404)
        return None

    async def _vectors(self, texts: list[str], dimension: int) -> list[list[float]]:
        found = await HashingEmbedder(MODEL, dimension).embed(texts)
        # Not of length 1: nothing promises that.
        return [[3 * number for number in one.vector] for one in found]


@asynccontextmanager
async def embedding_server(**said: Any) -> AsyncIterator[EmbeddingServer]:
    """Both APIs at one address. What is said are its fields."""
    server = EmbeddingServer(**said)
    app = web.Application()
    app.router.add_post("/v1/embeddings", server.openai)
    app.router.add_post("/api/embed", server.ollama)
    app.router.add_get("/api/tags", server.tags)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        server.address = f"http://{host}:{port}"
        yield server
    finally:
        await runner.cleanup()
