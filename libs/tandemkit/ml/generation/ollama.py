"""Models at an Ollama, by its own HTTP API, which takes what its OpenAI-like one does not: threads,
layers on the GPU, the context, and for how long the model stays in memory.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_pb2 as nouns
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.core.clock import Clock
from tandemkit.ml.generation import ollama_tools as tools
from tandemkit.ml.generation.ollama_words import form_of, messages_of, options_of, usage_of
from tandemkit.ml.generation.protocol import (
    ContextTooLong,
    Conversation,
    ModelCard,
    ModelGone,
    Nature,
    Prompt,
    SchemaRefused,
    Unsupported,
)
from tandemkit.ml.servers.server import NotThere, Passing, RequestRefused, Server
from tandemkit.reach.failure import Refused

if TYPE_CHECKING:
    from tandemkit.ml.servers.http import Http

USUAL_ADDRESS: Final = "http://127.0.0.1:11434"
_FEATURES: Final = (
    nouns.MODEL_FEATURE_CHAT,
    nouns.MODEL_FEATURE_COMPLETION,
    nouns.MODEL_FEATURE_TOOLS,
    nouns.MODEL_FEATURE_JSON,
    nouns.MODEL_FEATURE_RESUMABLE,
)
_REASONS: Final = {"length": chat.FINISH_REASON_LENGTH}
# Ollama has no codes: its own words tell.
_TOO_LONG: Final = ("exceeds the context length", "exceeds maximum context length")
_SCHEMA: Final = ("in format", "invalid format", "grammar")

Line = Mapping[str, Any]
P = TypeVar("P", pb.StreamChatResponse, pb.StreamCompleteResponse)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of an Ollama besides answers. What is None or empty is its own choice. A
    request with other threads, layers or context than the last makes it load the model again.
    """

    threads: int | None = None
    gpu_layers: int | None = None
    context_tokens: int | None = None
    keep_alive: str = ""
    # The oldest messages are left out where all are longer than the context; otherwise that fails.
    leaves_out_oldest: bool = False

    def body(self, sampling: chat.Sampling) -> dict[str, Any]:
        """What is in every request."""
        loading = {
            "num_thread": self.threads,
            "num_gpu": self.gpu_layers,
            "num_ctx": self.context_tokens,
        }
        options = {name: value for name, value in loading.items() if value is not None}
        found: dict[str, Any] = {
            "options": options | options_of(sampling),
            "truncate": self.leaves_out_oldest,
            # An answer that is longer than the context ends there.
            "shift": False,
        }
        return {**found, "keep_alive": self.keep_alive} if self.keep_alive else found


class OllamaBackend:
    """`tandemkit.ml.generation.protocol.Backend`."""

    def __init__(self, http: Http, address: str, wishes: Wishes) -> None:
        self._http, self._wishes = http, wishes
        self._answering: dict[str, bool] = {}
        self.nature = Nature(nouns.BACKEND_KIND_OLLAMA, address, True, _FEATURES)

    async def models(self) -> Sequence[ModelCard]:
        with _asking(""):
            listed = (await self._http.once("GET", "/api/tags")).get("models") or ()
            loaded = (await self._http.once("GET", "/api/ps")).get("models") or ()
            contexts = {one["name"]: int(one.get("context_length", 0)) for one in loaded}
            # Models of a cloud are asked by who names them: what is said would leave the machine.
            listed = [one for one in listed if not one.get("remote_host")]
            answers = await asyncio.gather(
                *(self._answers(one["name"], one.get("digest", "")) for one in listed)
            )
            return [
                ModelCard(
                    one["name"].removesuffix(":latest"),
                    self._wishes.context_tokens or contexts.get(one["name"], 0),
                )
                for one, does in zip(listed, answers, strict=True)
                if does
            ]

    async def _answers(self, name: str, digest: str) -> bool:
        """Whether the model has something to say, as those that embed have not. Asked once."""
        if digest not in self._answering:
            try:
                shown = await self._http.once("POST", "/api/show", {"model": name})
            except NotThere:
                return False
            able = shown.get("capabilities")
            self._answering[digest] = able is None or "completion" in able
        return self._answering[digest]

    async def chat(self, model: str, asked: Conversation) -> pb.ChatResponse:
        body, demanded = self._conversation(model, asked)
        part = await self._once(model, "/api/chat", body, _Hearing(len(asked.messages)).part)
        if demanded:
            part = _called(part.text, part, len(asked.messages))
        said = chat.ChatMessage(role=chat.CHAT_ROLE_ASSISTANT, content=part.text)
        for one in part.tool_calls:
            said.tool_calls.add(id=one.id, name=one.name, arguments_json=one.arguments_json)
        return pb.ChatResponse(message=said, finish_reason=part.finish_reason, usage=part.usage)

    async def stream_chat(
        self, model: str, asked: Conversation
    ) -> AsyncGenerator[pb.StreamChatResponse, None]:
        body, demanded = self._conversation(model, asked)
        hearing = _Hearing(len(asked.messages))
        texts: list[str] = []
        async with aclosing(self._parts(model, "/api/chat", body, hearing.part)) as parts:
            async for part in parts:
                if not demanded:
                    yield part
                    continue
                texts.append(part.text)
                if part.finish_reason:
                    last = _called("".join(texts), part, len(asked.messages))
                    yield pb.StreamChatResponse(text=last.text, tool_calls=last.tool_calls)
                    yield pb.StreamChatResponse(finish_reason=last.finish_reason, usage=last.usage)

    async def complete(self, model: str, asked: Prompt) -> pb.CompleteResponse:
        part = await self._once(model, "/api/generate", self._prompt(model, asked), _continued)
        return pb.CompleteResponse(
            text=part.text, finish_reason=part.finish_reason, usage=part.usage
        )

    async def stream_complete(
        self, model: str, asked: Prompt
    ) -> AsyncGenerator[pb.StreamCompleteResponse, None]:
        body = self._prompt(model, asked)
        async with aclosing(self._parts(model, "/api/generate", body, _continued)) as parts:
            async for part in parts:
                yield part

    def _conversation(self, model: str, asked: Conversation) -> tuple[dict[str, Any], bool]:
        """The request, and whether a tool has to be called."""
        body = {"model": model, "messages": messages_of(asked), **self._wishes.body(asked.sampling)}
        if not (demanded := tools.demanded(asked)):
            return {**body, **tools.offered(asked), **form_of(asked)}, False
        body["messages"].insert(0, tools.order(demanded))
        return {**body, "format": tools.form(demanded)}, True

    def _prompt(self, model: str, asked: Prompt) -> dict[str, Any]:
        # Raw: nothing is put around it, for it is gone on with and not answered.
        body = {"model": model, "prompt": asked.prompt, "raw": True}
        return body | self._wishes.body(asked.sampling)

    async def _once(
        self, model: str, path: str, body: Mapping[str, Any], hear: Callable[[Line], P]
    ) -> P:
        # Not as a stream: Ollama 0.17 may lose a place where one is hung up.
        with _asking(model):
            return hear(await self._http.once("POST", path, {**body, "stream": False}))

    async def _parts(
        self, model: str, path: str, body: Mapping[str, Any], hear: Callable[[Line], P]
    ) -> AsyncGenerator[P, None]:
        """To the last, which says why it is the last."""
        with _asking(model):
            async with aclosing(self._http.lines("POST", path, body)) as lines:
                async for content in lines:
                    line = json.loads(content)
                    if error := line.get("error"):
                        raise Passing("Ollama failed within its answer", said=str(error)[:200])
                    part = hear(line)
                    if part.ByteSize():
                        yield part
                    if part.finish_reason:
                        return
        raise Passing("Ollama broke off within its answer", model=model)


@dataclass(slots=True)
class _Hearing:
    """One answer, behind `asked` messages, of which `called` tool calls were heard."""

    asked: int
    called: int = 0

    def part(self, line: Line) -> pb.StreamChatResponse:
        said = line["message"]
        calls = tools.calls_of(said.get("tool_calls") or (), self.called, self.asked)
        self.called += len(calls)
        part = pb.StreamChatResponse(text=said.get("content") or "", tool_calls=calls)
        if line["done"]:
            called = chat.FINISH_REASON_TOOL_CALLS
            part.finish_reason = called if self.called else _reason(line)
            part.usage.CopyFrom(usage_of(line))
        return part


def _continued(line: Line) -> pb.StreamCompleteResponse:
    part = pb.StreamCompleteResponse(text=line["response"])
    if line["done"]:
        part.finish_reason = _reason(line)
        part.usage.CopyFrom(usage_of(line))
    return part


def _called(text: str, last: pb.StreamChatResponse, asked: int) -> pb.StreamChatResponse:
    """A call that was demanded, of its JSON; the text itself where it was cut short."""
    calls = tools.call_of(text, asked)
    reason = chat.FINISH_REASON_TOOL_CALLS if calls else last.finish_reason
    return pb.StreamChatResponse(
        text="" if calls else text, tool_calls=calls, finish_reason=reason, usage=last.usage
    )


@asynccontextmanager
async def ollama_backend(
    server: Server, wishes: Wishes, clock: Clock
) -> AsyncIterator[OllamaBackend]:
    """Connects when it is first asked."""
    # An HTTP client is 12 MB that no host pays which has no server to ask.
    from tandemkit.ml.servers.http import connected

    async with connected(server, clock) as http:
        yield OllamaBackend(http, server.base_url, wishes)


@contextmanager
def _asking(model: str) -> Iterator[None]:
    """Refusals of a server, as those of a backend."""
    try:
        yield
    except NotThere as error:
        if not model:
            raise Refused("what answers is no Ollama", **error.metadata) from error
        message = f"Ollama has no such model; with a network, `ollama pull {model}` fetches it"
        raise ModelGone(message, **error.metadata, model=model) from error
    except (Passing, RequestRefused) as error:
        said = str(error.metadata.get("said", ""))
        if understood := _understood(said):
            raise understood(error.message, **error.metadata, model=model) from error
        raise
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise Refused("what answers is no Ollama", model=model) from error


def _understood(said: str) -> type[Refused] | None:
    """What its words are about, where we know them."""
    if any(words in said for words in _TOO_LONG):
        return ContextTooLong
    if any(words in said for words in _SCHEMA):
        return SchemaRefused
    return Unsupported if "does not support" in said else None


def _reason(line: Line) -> chat.FinishReason.ValueType:
    return _REASONS.get(line.get("done_reason", ""), chat.FINISH_REASON_STOP)
