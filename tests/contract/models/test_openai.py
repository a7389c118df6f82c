"""Models at servers with OpenAI's API, held to the suite: a scripted server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing

import pytest

from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import errors_pb2 as errors
from tandemkit.core.clock import SystemClock
from tandemkit.core.errors import TriedError
from tandemkit.core.secret import SecretMissing
from tandemkit.ml.generation.openai import OpenaiBackend, openai_backend
from tandemkit.ml.generation.protocol import ConversationRefused, KeyMissing
from tandemkit.ml.servers.http import ANSWER_BYTES_MAX
from tandemkit.ml.servers.server import KeyDenied, Passing, RequestRefused, Server
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.rpc.failure import of_agent
from tandemkit.testing.model_servers import MODEL, Instead, ModelServer, model_server
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

KEY = "sk-" + "some-key-of-a-test"


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server(ModelServer(key=KEY)) as server:
        yield server


def backend(
    server: ModelServer, key: str = KEY, silence_s: float = 5.0
) -> AbstractAsyncContextManager[OpenaiBackend]:
    where = Server(f"{server.address}/v1", None, lambda: key, silence_s)
    return openai_backend(where, SystemClock())


@pytest.fixture
async def subject(server: ModelServer) -> AsyncIterator[Subject]:
    async with backend(server) as made:
        yield Subject(made, MODEL, context=5000)


class TestOpenai(BackendSuite):
    async def test_the_request_is_as_published(self, subject: Subject, server: ModelServer) -> None:
        """Everything that was said and nothing else, with the key."""
        request = asked("Use the tool.")
        request.tools.add(name="look_up", description="Looks up.", parameters_schema=SCHEMA)
        request.tool_choice.name = "look_up"
        request.sampling.stop.append("END")
        request.sampling.top_p = 0.5
        await subject.backend.chat(MODEL, request)
        (body,) = server.asked
        tool = body.pop("tools")[0]["function"]
        assert tool["parameters"]["required"] == ["name", "size"]
        assert body == {
            "model": MODEL,
            "messages": [{"role": "user", "content": "Use the tool."}],
            "tool_choice": {"type": "function", "function": {"name": "look_up"}},
            "temperature": 0.0,
            "top_p": 0.5,
            "max_tokens": 12,
            "stop": ["END"],
            "seed": 7,
        }
        assert server.shown == [f"Bearer {KEY}"]

    async def test_a_server_that_does_not_count_is_guessed_at(
        self, subject: Subject, server: ModelServer
    ) -> None:
        """And the usage says that it is a guess."""
        server.says_usage = False
        answer = await subject.backend.chat(MODEL, asked(QUESTION))
        parts = await streamed(subject, asked(QUESTION))
        assert answer.usage.is_estimated
        assert parts[-1].usage == answer.usage


async def test_who_hangs_up_ends_the_servers_work(server: ModelServer) -> None:
    """The connection is closed: the server would go on with its answer for nobody."""
    server.gate = asyncio.Event()
    async with backend(server) as made:
        stream = made.stream_chat(MODEL, as_stream(asked(QUESTION)))
        async with aclosing(stream) as parts:
            async for _part in parts:
                break
        await server.until(lambda now: now.left == 1)
        server.delay_s = 9.0
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(made.chat(MODEL, asked(QUESTION)))
            await server.until(lambda now: now.at_once == 1)
            waiting.cancel()
        await server.until(lambda now: not now.at_once)


@pytest.mark.parametrize("at", [0, 5])
@pytest.mark.parametrize("how", ["cut_at", "fails_at"])
async def test_a_stream_that_breaks_is_told(server: ModelServer, how: str, at: int) -> None:
    """What came before was delivered; what is missing is no end."""
    setattr(server, how, at)
    server.delay_s = 0.005
    found: list[str] = []
    async with backend(server) as made:
        with pytest.raises(Unreachable):
            async for part in made.stream_chat(MODEL, as_stream(asked(QUESTION))):
                found += part.text.split()
                assert not part.finish_reason
    assert len(found) <= at
    assert found or not at


async def test_a_server_that_falls_silent_is_left(server: ModelServer) -> None:
    """Before its answer, and in its midst."""
    async with backend(server, silence_s=0.2) as made:
        server.instead.append(Instead(hangs=True))
        with pytest.raises(Unreachable, match="silent"):
            await made.chat(MODEL, asked(QUESTION))
        server.gate = asyncio.Event()
        with pytest.raises(Unreachable, match="silent"):
            _ = [part async for part in made.stream_chat(MODEL, as_stream(asked(QUESTION)))]
    server.gate.set()


async def test_a_key_that_is_denied_is_not_shown(server: ModelServer) -> None:
    """The refusal says what the server said, without the key."""
    async with backend(server, key="sk-" + "another") as made:
        with pytest.raises(KeyDenied, match="Incorrect API key") as raised:
            await made.chat(MODEL, asked(QUESTION))
    assert "sk-another" not in str(raised.value)


async def test_m063_a_missing_key_is_told_in_the_quoted_words(server: ModelServer) -> None:
    """Before anything is sent, with the secret's name and how to give it a value."""

    def nothing() -> str:
        raise SecretMissing("openai_api_key")

    where = Server(f"{server.address}/v1", None, nothing)
    async with openai_backend(where, SystemClock()) as made:
        with pytest.raises(KeyMissing, match="Missing required API key") as raised:
            await made.chat(MODEL, asked(QUESTION))
    assert raised.value.metadata["secret"] == "openai_api_key"
    assert "OPENAI_API_KEY" in raised.value.metadata["hint"]
    assert server.shown == []


@pytest.mark.parametrize(
    "body",
    [
        *([], {}, {"choices": []}, {"choices": [{"message": 5}]}, {"choices": [{}]}),
        {"choices": [{"message": {"content": "A."}}], "usage": [1]},
        {"choices": [{"message": {"content": "A."}}], "usage": {"prompt_tokens": "many"}},
    ],
)
async def test_an_answer_that_is_none_is_refused(server: ModelServer, body: object) -> None:
    """No answer is made up for it."""
    server.instead.append(Instead(200, body))
    async with backend(server) as made:
        with pytest.raises(Refused):
            await made.chat(MODEL, asked(QUESTION))


async def test_a_refusal_can_be_told_whatever_is_in_it(server: ModelServer) -> None:
    """Half a character in its words, and a time to wait that no message holds."""
    away = {"Retry-After": "9" * 400}
    for said in ({"error": {"message": "busy \ud800"}}, {"error": "busy"}):
        server.instead.append(Instead(503, said, away))
        async with backend(server) as made:
            with pytest.raises(Passing) as raised:
                await made.chat(MODEL, asked(QUESTION))
        assert raised.value.metadata["said"].encode().startswith(b"busy")
        told = TriedError(
            errors.ERROR_REASON_BACKEND_UNREACHABLE,
            raised.value.message,
            retry_after_s=raised.value.retry_after_s or 0.0,
            **raised.value.metadata,
        )
        assert of_agent(told, errors.ErrorReason.DESCRIPTOR).trailers()


@pytest.mark.parametrize("body", [{}, {"data": 5}, {"data": [{}]}, {"data": [5]}])
async def test_a_list_that_is_none_is_refused(server: ModelServer, body: object) -> None:
    """Who asks for any model goes on to the next backend."""
    server.instead.append(Instead(200, body))
    async with backend(server) as made:
        with pytest.raises(Refused):
            await made.models()


async def test_an_answer_without_end_is_left(server: ModelServer) -> None:
    """So much is read of one, also of a refusal: a server is not trusted with our memory."""
    endless = "x" * (ANSWER_BYTES_MAX + 1)
    async with backend(server) as made:
        server.instead.append(Instead(200, {"choices": endless}))
        with pytest.raises(Refused, match="longer"):
            await made.chat(MODEL, asked(QUESTION))
        server.instead.append(Instead(400, endless))
        with pytest.raises(RequestRefused):
            await made.chat(MODEL, asked(QUESTION))


async def test_nobody_there_is_unreachable() -> None:
    """One attempt: whoever asks knows whether another one helps."""
    gone = ModelServer(f"http://127.0.0.1:{free_ports(1)[0]}")
    async with backend(gone) as made:
        with pytest.raises(Unreachable):
            await made.chat(MODEL, asked(QUESTION))


async def test_an_answer_of_a_tool_that_nobody_called_is_refused(server: ModelServer) -> None:
    """Before the server is asked, which would say so in words of its own."""
    request = asked(QUESTION)
    request.messages.add(role=chat.CHAT_ROLE_TOOL, content="42")
    async with backend(server) as made:
        with pytest.raises(ConversationRefused):
            await made.chat(MODEL, request)
    assert server.asked == []


async def test_a_conversation_goes_with_its_roles_and_calls(server: ModelServer) -> None:
    """What an assistant called, and what the tool said to that."""
    request = asked(QUESTION)
    call = chat.ToolCall(id="c1", name="look_up", arguments_json='{"a": 1}')
    request.messages.add(role=chat.CHAT_ROLE_ASSISTANT, tool_calls=[call])
    request.messages.add(role=chat.CHAT_ROLE_TOOL, content="42", tool_call_id="c1")
    async with backend(server) as made:
        await made.chat(MODEL, request)
    function = {"name": "look_up", "arguments": '{"a": 1}'}
    called = [{"id": "c1", "type": "function", "function": function}]
    assert server.asked[0]["messages"][1:] == [
        {"role": "assistant", "content": None, "tool_calls": called},
        {"role": "tool", "content": "42", "tool_call_id": "c1"},
    ]
