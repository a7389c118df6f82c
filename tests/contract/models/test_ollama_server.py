"""Models at a real Ollama, held to the suite. They are of half a megabyte and say what is written
here, so that each answer is known to the letter.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from tandem.models.config.v1 import model_pb2 as cfg
from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.core.clock import SystemClock
from tandemkit.ml.generation.ollama import (
    OllamaBackend,
    Wishes,
    ollama_backend,
)
from tandemkit.ml.generation.protocol import ContextTooLong, ModelGone
from tandemkit.ml.servers.server import Server
from tandemkit.testing.parts_language import MODEL, OllamaServer, ollama_server
from tandemkit.testing.scripted_model import Script, pieces_of, write_model
from tests.cluster.eventually import eventually
from tests.contract.models.suite import (
    QUESTION,
    SCHEMA,
    BackendSuite,
    Subject,
    as_stream,
    asked,
    streamed,
    text_of,
    user,
)
from tests.unit.services.models.model.living import models

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANSWER = "A gate of oak is let down, and the wheel of the mill stands still."
CALL = '<tool_call>{"name": "look_up", "arguments": {"name": "mill", "size": 3}}</tool_call>'
# In tokens, to say so many takes longer than any test waits.
LONG = 32768
SCRIPTS = {
    MODEL: Script(ANSWER),
    "caller": Script(CALL),
    "endless": Script("round and around goes it", endless=True, context_tokens=LONG),
    "varied": Script("one two three four five six seven", varied=True),
}
# One thread, for tests run beside others; the documented number is four.
FRUGAL = Wishes(threads=1, gpu_layers=0, keep_alive="30s")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OllamaServer]:
    folder: Path = tmp_path_factory.mktemp("models")
    # Ollama 0.17 now and then loses a place where a stream is hung up, which tests here do.
    async with ollama_server({"OLLAMA_NUM_PARALLEL": "8"}) as server:
        for name, script in SCRIPTS.items():
            await server.add(name, write_model(folder / f"{name}.gguf", script))
        yield server


def at(server: OllamaServer, wishes: Wishes = FRUGAL) -> AbstractAsyncContextManager[OllamaBackend]:
    return ollama_backend(Server(server.url, None, silence_s=20.0), wishes, SystemClock())


@pytest_asyncio.fixture(loop_scope="module")
async def subject(server: OllamaServer) -> AsyncIterator[Subject]:
    async with at(server) as made:
        yield Subject(made, MODEL, context=1000)


class TestRealOllama(BackendSuite):
    async def test_m062_words_come_one_by_one(self, subject: Subject) -> None:
        """Each as the model says it, and then why it ended."""
        parts = await streamed(subject, asked(QUESTION, tokens_max=100))
        assert [one.text for one in parts[:-1]] == pieces_of(ANSWER)
        assert parts[-1].finish_reason == chat.FINISH_REASON_STOP

    async def test_an_answer_ends_before_a_stop_word(self, subject: Subject) -> None:
        """Which is not part of it."""
        request = asked(QUESTION, tokens_max=100)
        request.sampling.stop.append(" wheel")
        answer = await subject.backend.chat(MODEL, request)
        assert answer.message.content == "A gate of oak is let down, and the"
        assert answer.finish_reason == chat.FINISH_REASON_STOP

    async def test_a_tool_that_is_offered_is_called(self, subject: Subject) -> None:
        """The model says the call in its own way, and Ollama reads it."""
        request = asked("Use the tool.", tokens_max=100)
        request.tools.add(name="look_up", description="Looks up.", parameters_schema=SCHEMA)
        answer = await subject.backend.chat("caller", request)
        (call,) = answer.message.tool_calls
        assert (call.name, json.loads(call.arguments_json)) == (
            "look_up",
            {"name": "mill", "size": 3},
        )
        assert answer.finish_reason == chat.FINISH_REASON_TOOL_CALLS
        # What is not offered is not called, whatever the model says.
        request.ClearField("tools")
        assert (await subject.backend.chat("caller", request)).message.content == CALL

    async def test_any_json_is_json(self, subject: Subject) -> None:
        """Where no schema is given."""
        request = asked("Which pump?", tokens_max=200)
        request.form.json_object.SetInParent()
        answer = await subject.backend.chat(MODEL, request)
        assert isinstance(json.loads(answer.message.content), dict)

    async def test_another_seed_has_another_answer(self, subject: Subject) -> None:
        """And the same seed the same one: what a stream that goes on after a cut stands on."""
        request = asked(QUESTION, tokens_max=30)
        request.sampling.temperature = 1.0
        answers = []
        for seed in (1, 2, 1):
            request.sampling.seed = seed
            answers.append((await subject.backend.chat("varied", request)).message.content)
        assert answers[0] == answers[2] != answers[1]


async def test_m062_an_answer_ends_with_its_callers_deadline(server: OllamaServer) -> None:
    """This one never comes to its end: the model is at rest as soon as nobody waits for it."""
    forever = asked(QUESTION)
    forever.sampling.ClearField("tokens_max")
    async with at(server, replace(FRUGAL, context_tokens=LONG)) as backend:
        await backend.chat("endless", asked(QUESTION, tokens_max=1))
        for hang_up in (_waited, _streamed):
            begun = await _until(server)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await hang_up(backend, forever)

            async def rests(begun: datetime = begun) -> bool:
                return await _until(server) > begun

            assert await eventually(rests, within_s=3.0)


async def _waited(backend: OllamaBackend, request: pb.ChatRequest) -> None:
    await backend.chat("endless", request)


async def _streamed(backend: OllamaBackend, request: pb.ChatRequest) -> None:
    async with aclosing(backend.stream_chat("endless", as_stream(request))) as parts:
        async for _ in parts:
            pass


async def _until(server: OllamaServer) -> datetime:
    """For how long the one loaded model stays: said anew when it has nothing to do any more."""
    (loaded,) = (await server.ask("/api/ps"))["models"]
    return datetime.fromisoformat(loaded["expires_at"])


async def test_r097_r099_a_request_says_how_the_model_is_loaded(server: OllamaServer) -> None:
    """With how many threads, none of it on a GPU, which context, and for how long it stays."""
    wishes = Wishes(threads=4, gpu_layers=0, context_tokens=512, keep_alive="30s")
    clock = SystemClock()
    async with at(server, wishes) as backend:
        await backend.chat(MODEL, asked(QUESTION, tokens_max=1))
        (card,) = [one for one in await backend.models() if one.name == MODEL]
    assert card.context_tokens_max == 512
    (loaded,) = (await server.ask("/api/ps"))["models"]
    assert (loaded["context_length"], loaded["size_vram"]) == (512, 0)
    stays = datetime.fromisoformat(loaded["expires_at"]) - clock.now()
    assert timedelta(seconds=20) < stays <= timedelta(seconds=30)
    assert "NumThreads:4" in server.process.command.log_path.read_text()


async def test_the_oldest_messages_are_left_out_where_that_is_wished(server: OllamaServer) -> None:
    """Otherwise a conversation that is longer than the context is refused."""
    long = pb.ChatRequest(
        messages=[user("word " * 60) for _ in range(20)], sampling=asked("").sampling
    )
    for leaves_out in (True, False):
        wishes = replace(FRUGAL, context_tokens=2048, leaves_out_oldest=leaves_out)
        async with at(server, wishes) as backend:
            if leaves_out:
                answer = await backend.chat(MODEL, long)
                assert 0 < answer.usage.prompt_tokens < 2048
            else:
                with pytest.raises(ContextTooLong):
                    await backend.chat(MODEL, long)


async def test_who_lacks_a_model_is_told_how_to_get_it(server: OllamaServer) -> None:
    """It is not pulled by itself: that is gigabytes, and needs a network."""
    async with at(server) as backend:
        with pytest.raises(ModelGone, match=r"ollama pull llama3\.2"):
            await backend.chat("llama3.2", asked(QUESTION))


async def test_m062_the_agent_finds_it_and_says_who_answered(
    server: OllamaServer, tmp_path: Path
) -> None:
    """Over the wire, as an answer and as a stream, with nothing configured but its port."""
    usual = cfg.OllamaBackendSettings(base_url=server.url, threads=1, models=[MODEL])
    settings = cfg.ModelSettings(usual_ollama=usual)
    async with models(settings, tmp_path) as stub:
        request = pb.ChatRequest(messages=[user(QUESTION)])
        answer = await stub.Chat(request)
        parts = [part async for part in stub.StreamChat(as_stream(request))]
    assert answer.message.content == text_of(parts) == ANSWER
    who = chat.Answerer(backend="ollama", model=MODEL, is_generative=True)
    assert answer.answerer == parts[0].answerer == who
