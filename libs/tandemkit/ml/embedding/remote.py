"""A model at a server, with OpenAI's API or Ollama's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tandemkit.core.clock import Clock
from tandemkit.ml.embedding.protocol import (
    Embedded,
    Lane,
    Purpose,
    Space,
    TextRefused,
    Vector,
    of_length_1,
)
from tandemkit.ml.servers.server import RequestRefused, Server
from tandemkit.reach.failure import Refused

if TYPE_CHECKING:
    from tandemkit.ml.servers.http import Http

_VERSION_CHARS = 12


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """What we call it, what its server does, and how many texts go in one request."""

    name: str
    theirs: str
    batch_max: int
    # Written before a text, for models that want it.
    prefixes: Mapping[Purpose, str] = field(default_factory=dict)


class Api(Protocol):
    """How one kind of server is asked."""

    async def numbers(self, http: Http, model: str, texts: Sequence[str]) -> list[Any]:
        """What should be the numbers of each text. Raises as `Http` does; and LookupError,
        TypeError or ValueError for an answer of another form.
        """

    async def version(self, http: Http, model: str) -> str:
        """What tells this model from another one of that name; empty where nothing does."""


class RemoteEmbedder:
    """`tandemkit.ml.embedding.protocol.Embedder`."""

    tokens_max = 0
    at_once = 4
    is_loaded = True

    def __init__(self, model: RemoteModel, api: Api, http: Http) -> None:
        self.space, self.batch_max = Space(model.name, "", 0), model.batch_max
        self._model, self._api, self._http = model, api, http
        self._has_version = False

    def phrased(self, text: str, purpose: Purpose) -> str:
        return self._model.prefixes.get(purpose, "") + text

    async def embed(self, texts: Sequence[str], _lane: Lane = Lane.PROMPT) -> list[Embedded]:
        if texts and not self._has_version:
            version = await self._api.version(self._http, self._model.theirs)
            self.space = Space(self._model.name, version[:_VERSION_CHARS], self.space.dimension)
            self._has_version = True
        found: list[Embedded] = []
        for start in range(0, len(texts), self.batch_max):
            batch = texts[start : start + self.batch_max]
            found += [Embedded(one, 0, False) for one in await self._vectors(batch)]
        return found

    async def check(self) -> None:
        """Only its server knows."""

    async def unload(self) -> None:
        """That is its server's matter. Meanwhile it may get another model of that name."""
        self._has_version = False

    async def _vectors(self, texts: Sequence[str]) -> list[Vector]:
        try:
            numbers = await self._api.numbers(self._http, self._model.theirs, texts)
            vectors = [of_length_1([float(one) for one in each]) for each in numbers]
        except RequestRefused as error:
            raise TextRefused("the server refuses a text", **error.metadata) from error
        except (LookupError, TypeError, ValueError) as error:
            raise Refused(
                "the server's answer is no embeddings", model=self._model.theirs
            ) from error
        lengths = {len(one) for one in vectors}
        dimension = self.space.dimension or next(iter(lengths), 0)
        if len(vectors) != len(texts) or lengths != {dimension}:
            message = "the server's vectors are not as many as the texts, or not as long as before"
            raise Refused(message, model=self._model.theirs, dimension=dimension)
        self.space = Space(self._model.name, self.space.version, dimension)
        return vectors


@asynccontextmanager
async def remote_embedder(
    model: RemoteModel, api: Api, server: Server, clock: Clock
) -> AsyncIterator[RemoteEmbedder]:
    """Connects when it is first asked."""
    # An HTTP client is 12 MB that no host pays whose models are its own.
    from tandemkit.ml.servers.http import connected

    async with connected(server, clock) as http:
        yield RemoteEmbedder(model, api, http)


class OpenaiApi:
    """`POST /embeddings`, which many servers have besides OpenAI's own."""

    def __init__(self, dimension: int = 0) -> None:
        """With a dimension the model is asked to make its vectors that long."""
        self._wishes = {"dimensions": dimension} if dimension else {}

    async def numbers(self, http: Http, model: str, texts: Sequence[str]) -> list[Any]:
        body = {"model": model, "input": list(texts), "encoding_format": "float", **self._wishes}
        data = (await http.ask("POST", "/embeddings", body))["data"]
        return [one["embedding"] for one in sorted(data, key=lambda one: one["index"])]

    async def version(self, _http: Http, _model: str) -> str:
        return ""


class OllamaApi:
    """`POST /api/embed`; the version is the digest that the server knows the model by."""

    async def numbers(self, http: Http, model: str, texts: Sequence[str]) -> list[Any]:
        body = {"model": model, "input": list(texts), "truncate": True}
        found: list[Any] = (await http.ask("POST", "/api/embed", body))["embeddings"]
        return found

    async def version(self, http: Http, model: str) -> str:
        listed = (await http.ask("GET", "/api/tags")).get("models")
        names = {model, f"{model}:latest"}
        for one in listed if isinstance(listed, list) else ():
            if isinstance(one, dict) and one.get("name") in names:
                return str(one.get("digest", "")).removeprefix("sha256:")
        message = "the server has no such model: `ollama pull` fetches it"
        raise Refused(message, model=model)
