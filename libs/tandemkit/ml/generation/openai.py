"""Any server with OpenAI's HTTP API: vLLM, llama.cpp's, LiteLLM, a cloud's."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_pb2 as nouns
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.core.clock import Clock
from tandemkit.core.secret import SecretMissing
from tandemkit.ml.generation import openai_form as form
from tandemkit.ml.generation.protocol import (
    ContextTooLong,
    Conversation,
    KeyMissing,
    ModelCard,
    ModelGone,
    Nature,
    Prompt,
)
from tandemkit.ml.generation.usage import estimated
from tandemkit.ml.servers.server import NotThere, Passing, RequestRefused, Server
from tandemkit.reach.failure import Refused

if TYPE_CHECKING:
    from tandemkit.ml.servers.http import Http

_CHAT: Final = "/chat/completions"
_COMPLETE: Final = "/completions"
_FEATURES: Final = (
    nouns.MODEL_FEATURE_CHAT,
    nouns.MODEL_FEATURE_COMPLETION,
    nouns.MODEL_FEATURE_TOOLS,
    nouns.MODEL_FEATURE_JSON,
)
_DATA: Final = b"data:"
_DONE: Final = b"[DONE]"
# What reading says of an answer that is of another form.
_NO_ANSWER: Final = (LookupError, TypeError, ValueError, AttributeError, RecursionError)

Choice: TypeAlias = Mapping[str, Any]
Part = TypeVar("Part", pb.StreamChatResponse, pb.StreamCompleteResponse)


class OpenaiBackend:
    """`tandemkit.ml.generation.protocol.Backend`."""

    def __init__(self, http: Http, address: str, *, keeps_seed: bool) -> None:
        self._http = http
        resumable = (nouns.MODEL_FEATURE_RESUMABLE,) if keeps_seed else ()
        self.nature = Nature(nouns.BACKEND_KIND_OPENAI, address, True, (*_FEATURES, *resumable))

    async def models(self) -> Sequence[ModelCard]:
        with _asking(""):
            return form.cards(await self._http.once("GET", "/models"))

    async def chat(self, model: str, asked: Conversation) -> pb.ChatResponse:
        body = form.conversation(model, asked)
        with _asking(model):
            said = await self._http.once("POST", _CHAT, body)
            choice = said["choices"][0]
            answer = pb.ChatResponse(
                message=form.message(choice["message"]),
                finish_reason=form.finish_reason(choice.get("finish_reason")),
            )
            text = answer.message.content
            answer.usage.CopyFrom(form.usage(said.get("usage")) or estimated(_said(asked), text))
        return answer

    async def stream_chat(
        self, model: str, asked: Conversation
    ) -> AsyncGenerator[pb.StreamChatResponse, None]:
        ending = _Ending()
        body = form.conversation(model, asked)
        async with aclosing(self._parts(model, _CHAT, body, ending, _said_in)) as parts:
            async for part in parts:
                yield part
        yield pb.StreamChatResponse(
            finish_reason=ending.reason, usage=ending.usage or ending.estimated(_said(asked))
        )

    async def complete(self, model: str, asked: Prompt) -> pb.CompleteResponse:
        with _asking(model):
            said = await self._http.once("POST", _COMPLETE, form.prompt(model, asked))
            choice = said["choices"][0]
            answer = pb.CompleteResponse(
                text=choice["text"], finish_reason=form.finish_reason(choice.get("finish_reason"))
            )
            usage = form.usage(said.get("usage")) or estimated(asked.prompt, answer.text)
            answer.usage.CopyFrom(usage)
        return answer

    async def stream_complete(
        self, model: str, asked: Prompt
    ) -> AsyncGenerator[pb.StreamCompleteResponse, None]:
        ending = _Ending()
        body = form.prompt(model, asked)
        async with aclosing(self._parts(model, _COMPLETE, body, ending, _continued_in)) as parts:
            async for part in parts:
                yield part
        yield pb.StreamCompleteResponse(
            finish_reason=ending.reason, usage=ending.usage or ending.estimated(asked.prompt)
        )

    async def _parts(
        self,
        model: str,
        path: str,
        body: dict[str, Any],
        ending: _Ending,
        told_in: Callable[[Sequence[Choice]], Iterator[Part]],
    ) -> AsyncGenerator[Part, None]:
        """What came together is told together: a message for each word costs more than the word."""
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        with _asking(model):
            async with aclosing(self._http.batches("POST", path, body)) as batches:
                async for lines in batches:
                    choices, failure = ending.noted(lines)
                    for part in told_in(choices):
                        ending.chars += len(part.text)
                        yield part
                    if failure is not None:
                        raise failure
        if not ending.reason:
            raise Passing("the server broke its answer off", model=model)


@dataclass(slots=True)
class _Ending:
    """What a stream has said of how it ends."""

    reason: chat.FinishReason.ValueType = chat.FINISH_REASON_UNSPECIFIED
    usage: chat.Usage | None = None
    chars: int = 0

    def noted(self, lines: Sequence[bytes]) -> tuple[list[Choice], Exception | None]:
        """The first choice of each event, and what was wrong with the one behind them."""
        found: list[Choice] = []
        try:
            for line in lines:
                if line.startswith(_DATA):
                    found += self._choice(line[len(_DATA) :].strip())
        except (Passing, *_NO_ANSWER) as error:
            return found, error
        return found, None

    def _choice(self, content: bytes) -> Sequence[Choice]:
        if content == _DONE:
            return ()
        event = json.loads(content.decode())
        if error := event.get("error"):
            message = error.get("message") if isinstance(error, dict) else error
            raise Passing("the server failed in the midst of its answer", said=str(message)[:200])
        if said := event.get("usage"):
            self.usage = form.usage(said)
        choices = event.get("choices")
        if not choices:
            return ()
        if reason := choices[0].get("finish_reason"):
            self.reason = form.finish_reason(reason)
        return (choices[0],)

    def estimated(self, asked: str) -> chat.Usage:
        return estimated(asked, " " * self.chars)


def _said_in(choices: Sequence[Choice]) -> Iterator[pb.StreamChatResponse]:
    """One part, or as many as keep a text before the calls that come behind it."""
    text, calls = "", list[chat.ToolCallDelta]()
    for choice in choices:
        delta = choice.get("delta") or {}
        more = delta.get("content") or ""
        if more and calls:
            yield pb.StreamChatResponse(text=text, tool_calls=calls)
            text, calls = "", []
        text += more
        calls += form.tool_call_deltas(delta.get("tool_calls"))
    if text or calls:
        yield pb.StreamChatResponse(text=text, tool_calls=calls)


def _continued_in(choices: Sequence[Choice]) -> Iterator[pb.StreamCompleteResponse]:
    if text := "".join(one.get("text") or "" for one in choices):
        yield pb.StreamCompleteResponse(text=text)


@contextmanager
def _asking(model: str) -> Iterator[None]:
    """Refusals of a server, as those of a backend."""
    try:
        yield
    except SecretMissing as error:
        names = error.metadata["names"]
        raise KeyMissing(form.KEY_MISSING, secret=names, hint=form.key_hint(names)) from error
    except NotThere as error:
        raise ModelGone(error.message, **error.metadata, model=model) from error
    except RequestRefused as error:
        if form.is_too_long(error.metadata["said"]):
            message = "the conversation is longer than the model takes"
            raise ContextTooLong(message, **error.metadata, model=model) from error
        raise
    except _NO_ANSWER as error:
        raise Refused("the server's answer is no completion", model=model) from error


def _said(asked: Conversation) -> str:
    return "".join(one.content for one in asked.messages)


@asynccontextmanager
async def openai_backend(
    server: Server, clock: Clock, *, keeps_seed: bool = True
) -> AsyncIterator[OpenaiBackend]:
    """Connects when it is first asked. `keeps_seed` says that its answers are the same for the same
    seed.
    """
    # An HTTP client is 12 MB that no host pays which has no server to ask.
    from tandemkit.ml.servers.http import connected

    async with connected(server, clock) as http:
        yield OpenaiBackend(http, server.base_url, keeps_seed=keeps_seed)
