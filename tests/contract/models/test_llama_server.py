"""Models at a real server with OpenAI's API, held to the suite: llama.cpp's, with models of half a
megabyte that say what is written here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.core.clock import SystemClock
from tandemkit.ml.generation.openai import OpenaiBackend, openai_backend
from tandemkit.ml.servers.server import KeyDenied, Server
from tandemkit.testing.parts_language import MODEL, LlamaServer, llama_cpp_server
from tandemkit.testing.scripted_model import Script, pieces_of, write_model
from tests.contract.models.suite import (
    QUESTION,
    BackendSuite,
    Subject,
    as_stream,
    asked,
    streamed,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

# In tokens, to say so many takes longer than any test waits.
LONG = 200_000
KEY = "sk-" + "some-key-of-a-test"
# What it says is read as a call where tools are offered, and is text where they are not.
CALL = '<tool_call>{"name": "look_up", "arguments": {"name": "mill", "size": 3}}</tool_call>'


def at(server: LlamaServer, key: str = KEY) -> AbstractAsyncContextManager[OpenaiBackend]:
    return openai_backend(Server(server.url, None, lambda: key, silence_s=20.0), SystemClock())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LlamaServer]:
    file = tmp_path_factory.mktemp("model") / "caller.gguf"
    async with llama_cpp_server(write_model(file, Script(CALL)), KEY) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def subject(server: LlamaServer) -> AsyncIterator[Subject]:
    async with at(server) as made:
        yield Subject(made, MODEL, context=1000)


class TestLlamaServer(BackendSuite):
    async def test_m063_words_come_as_the_model_says_them(self, subject: Subject) -> None:
        """All of them, and then why it ended and what it cost."""
        parts = await streamed(subject, asked(QUESTION, tokens_max=100))
        assert "".join(one.text for one in parts[:-1]) == "".join(pieces_of(CALL))
        assert parts[-1].finish_reason == chat.FINISH_REASON_STOP
        assert not parts[-1].usage.is_estimated

    async def test_a_model_that_is_not_there_is_told(self, subject: Subject) -> None:
        """Not by this server: it has one model, and answers with that whatever is asked for."""
        answer = await subject.backend.chat("no-such-model", asked(QUESTION))
        assert answer.message.content


async def test_m063_who_lacks_the_key_is_denied(server: LlamaServer) -> None:
    """By the real server, in its own words."""
    async with at(server, "sk-" + "another-key") as backend:
        with pytest.raises(KeyDenied) as denied:
            await backend.chat(MODEL, asked(QUESTION))
    assert denied.value.metadata["said"] == "Invalid API Key"


async def test_who_hangs_up_ends_the_servers_work(tmp_path: Path) -> None:
    """The server answers one at a time, and this answer never comes to its end: the next is
    answered because nobody waits for the first any more.
    """
    script = Script("round and around goes it", endless=True, context_tokens=LONG)
    forever = asked(QUESTION)
    forever.sampling.ClearField("tokens_max")
    file = write_model(tmp_path / "endless.gguf", script)
    async with llama_cpp_server(file) as server, at(server) as backend:
        for hang_up in (_waited, _streamed):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await hang_up(backend, forever)
            async with asyncio.timeout(5.0):
                answer = await backend.chat(MODEL, asked(QUESTION, tokens_max=3))
            assert answer.message.content == "round and around"


async def _waited(backend: OpenaiBackend, request: pb.ChatRequest) -> None:
    await backend.chat(MODEL, request)


async def _streamed(backend: OpenaiBackend, request: pb.ChatRequest) -> None:
    async with aclosing(backend.stream_chat(MODEL, as_stream(request))) as parts:
        async for _ in parts:
            pass
