"""Models at an Ollama, held to the suite: a scripted endpoint. test_ollama_server.py is the same
with a real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing

import pytest

from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.core.clock import SystemClock
from tandemkit.ml.generation.ollama import OllamaBackend, Wishes, ollama_backend
from tandemkit.ml.generation.protocol import (
    ConversationRefused,
    ModelGone,
    SchemaRefused,
    Unsupported,
)
from tandemkit.ml.servers.server import Passing, Server
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.testing.embedding_servers import embedding_server
from tandemkit.testing.ollama_endpoint import MODEL, OllamaEndpoint, ollama_endpoint
from tandemkit.testing.parts import free_ports
from tests.contract.models.suite import (
    QUESTION,
    SCHEMA,
    BackendSuite,
    Subject,
    as_stream,
    asked,
    streamed,
)


@pytest.fixture
async def endpoint() -> AsyncIterator[OllamaEndpoint]:
    async with ollama_endpoint() as endpoint:
        yield endpoint


def at(address: str, wishes: Wishes | None = None) -> AbstractAsyncContextManager[OllamaBackend]:
    where = Server(address, None, silence_s=5.0)
    return ollama_backend(where, wishes or Wishes(), SystemClock())


@pytest.fixture
async def subject(endpoint: OllamaEndpoint) -> AsyncIterator[Subject]:
    async with at(endpoint.address) as made:
        yield Subject(made, MODEL, context=5000)


class TestOllama(BackendSuite):
    """What all backends promise."""


def tool_request() -> pb.ChatRequest:
    request = asked("Use the tool.", tokens_max=200)
    request.tools.add(name="look_up", description="Looks up.", parameters_schema=SCHEMA)
    return request


async def test_r097_r099_r100_c59_a_request_has_the_options_that_the_settings_say(
    endpoint: OllamaEndpoint,
) -> None:
    """Threads and layers on the GPU are options of a request, not variables of the server."""
    wishes = Wishes(threads=4, gpu_layers=0, context_tokens=8192, keep_alive="30s")
    request = asked(QUESTION)
    request.sampling.top_p = 0.5
    request.sampling.stop.append("END")
    async with at(endpoint.address, wishes) as backend:
        await backend.chat(MODEL, request)
    ((path, body),) = endpoint.asked
    assert path == "/api/chat"
    assert body == {
        "model": MODEL,
        "messages": [{"role": "user", "content": QUESTION}],
        "options": {
            "num_thread": 4,
            "num_gpu": 0,
            "num_ctx": 8192,
            "temperature": 0.0,
            "top_p": 0.5,
            "seed": 7,
            "num_predict": 12,
            "stop": ["END"],
        },
        "keep_alive": "30s",
        "truncate": False,
        "shift": False,
        "stream": False,
    }


async def test_what_is_not_said_is_ollamas_own_choice(endpoint: OllamaEndpoint) -> None:
    """It knows its machine, and its user may have told it."""
    async with at(endpoint.address) as backend:
        await backend.complete(MODEL, pb.CompleteRequest(prompt="The mill"))
    ((path, body),) = endpoint.asked
    assert (path, body["options"], "keep_alive" in body) == ("/api/generate", {}, False)


async def test_tools_are_offered_as_published(endpoint: OllamaEndpoint) -> None:
    """A call that was made, and what the tool said, go back under the tool's name."""
    request = tool_request()
    async with at(endpoint.address) as backend:
        answer = await backend.chat(MODEL, request)
        (call,) = answer.message.tool_calls
        request.messages.append(answer.message)
        request.messages.add(role=chat.CHAT_ROLE_TOOL, content="42", tool_call_id=call.id)
        request.tool_choice.use = chat.TOOL_USE_NONE
        await backend.chat(MODEL, request)
    (_, first), (_, second) = endpoint.asked
    function = first["tools"][0]["function"]
    assert (function["name"], function["parameters"]["required"]) == ("look_up", ["name", "size"])
    assert "tools" not in second
    _, called, told = second["messages"]
    assert called["tool_calls"][0]["function"]["name"] == "look_up"
    assert told == {
        "role": "tool",
        "content": "42",
        "tool_name": "look_up",
        "tool_call_id": call.id,
    }


async def test_a_call_that_is_demanded_is_held_to_its_form(endpoint: OllamaEndpoint) -> None:
    """Ollama knows no such demand; a grammar leaves the model no other words."""
    request = tool_request()
    request.tools.add(name="other")
    request.tool_choice.name = "look_up"
    async with at(endpoint.address) as backend:
        parts = await streamed(Subject(backend, MODEL), request)
        assert [one.name for part in parts for one in part.tool_calls] == ["look_up"]
        assert parts[-1].finish_reason == chat.FINISH_REASON_TOOL_CALLS
        request.sampling.tokens_max = 1
        cut = await backend.chat(MODEL, request)
        request.tool_choice.name = "unknown"
        with pytest.raises(ConversationRefused):
            await backend.chat(MODEL, request)
    body = endpoint.asked[0][1]
    assert body["format"]["properties"]["name"] == {"const": "look_up"}
    assert "look_up" in body["messages"][0]["content"]
    # Half a call is none, and says why.
    assert (cut.finish_reason, len(cut.message.tool_calls)) == (chat.FINISH_REASON_LENGTH, 0)
    assert cut.message.content


async def test_the_same_call_has_the_same_id_again(endpoint: OllamaEndpoint) -> None:
    """Ollama's own are dice, and a stream that goes on after a cut has to be the same."""
    async with at(endpoint.address) as backend:
        one, same = [await backend.chat(MODEL, tool_request()) for _ in range(2)]
    assert one.message.tool_calls[0].id == same.message.tool_calls[0].id


async def test_who_hangs_up_ends_the_servers_work(endpoint: OllamaEndpoint) -> None:
    """The connection is closed, which is how Ollama learns it."""
    endpoint.gate = asyncio.Event()
    async with at(endpoint.address) as backend:
        async with aclosing(backend.stream_chat(MODEL, as_stream(asked(QUESTION)))) as parts:
            assert (await anext(parts)).text
        await endpoint.until(lambda it: it.left == 1)


@pytest.mark.parametrize(
    ("status", "said", "raised"),
    [
        (404, "model 'x' not found", ModelGone),
        (400, "registry/x does not support tools", Unsupported),
        (500, "invalid JSON schema in format", SchemaRefused),
        (503, "server busy, please try again.  maximum pending requests exceeded", Passing),
        (500, "llama runner process has terminated", Passing),
        (400, "top_logprobs must be between 0 and 20", Refused),
    ],
)
async def test_what_it_refuses_is_told_in_our_kinds(
    endpoint: OllamaEndpoint, status: int, said: str, raised: type[Exception]
) -> None:
    """It has no codes, so its words decide; they are in the metadata."""
    endpoint.instead.append((status, {"error": said}))
    async with at(endpoint.address) as backend:
        with pytest.raises(raised) as told:
            await backend.chat(MODEL, asked(QUESTION))
    assert said in str(told.value)


@pytest.mark.parametrize("fault", ["cut_at", "fails_at"])
async def test_an_answer_that_breaks_off_is_told(endpoint: OllamaEndpoint, fault: str) -> None:
    """It is never taken for a whole one."""
    setattr(endpoint, fault, 2)
    async with at(endpoint.address) as backend:
        with pytest.raises(Unreachable):
            await streamed(Subject(backend, MODEL), asked(QUESTION))


async def test_nobody_there_is_unreachable() -> None:
    """And so is what is no Ollama."""
    (port,) = free_ports(1)
    async with at(f"http://127.0.0.1:{port}") as backend:
        with pytest.raises(Unreachable):
            await backend.models()


async def test_a_loaded_model_says_how_long_its_context_is(endpoint: OllamaEndpoint) -> None:
    """Of others only the settings know."""
    endpoint.models = (MODEL, "other:7b")
    async with at(endpoint.address) as backend:
        listed = {one.name: one.context_tokens_max for one in await backend.models()}
    assert listed == {MODEL: 4096, "other:7b": 0}


async def test_a_model_of_a_cloud_is_not_listed(endpoint: OllamaEndpoint) -> None:
    """Whoever asks for whatever there is would have their words sent away."""
    endpoint.remote = ("big:120b-cloud",)
    async with at(endpoint.address) as backend:
        assert [one.name for one in await backend.models()] == [MODEL]


async def test_what_listens_and_is_no_ollama_is_told() -> None:
    """And nobody is advised to pull anything."""
    async with embedding_server() as server, at(f"{server.address}/v1") as backend:
        with pytest.raises(Refused, match="no Ollama"):
            await backend.models()


async def test_a_model_that_only_embeds_is_not_listed(endpoint: OllamaEndpoint) -> None:
    """Whoever asks for whatever there is would be given it, and get no answer."""
    endpoint.models, endpoint.embedders = ("all-minilm", MODEL), ("all-minilm",)
    async with at(endpoint.address) as backend:
        for _ in range(2):
            assert [one.name for one in await backend.models()] == [MODEL]
