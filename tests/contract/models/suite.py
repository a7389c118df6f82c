"""The promises of `tandemkit.ml.generation.protocol`, as tests: one suite for all backends."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_pb2 as nouns
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.core.clock import SystemClock
from tandemkit.ml.generation.protocol import (
    Backend,
    ContextTooLong,
    ModelGone,
    SchemaRefused,
    Unsupported,
)

QUESTION = "How is the pump of the mill closed?"
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
        "required": ["name", "size"],
        "additionalProperties": False,
    }
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A backend with one of its models. `obeys` is whether that does what it is told, as a model of
    random weights does not. `context` is a number of words that is too long for it, 0 for none.
    """

    backend: Backend
    model: str
    obeys: bool = True
    context: int = 0

    def has(self, feature: nouns.ModelFeature.ValueType) -> bool:
        return feature in self.backend.nature.features


def user(text: str) -> chat.ChatMessage:
    return chat.ChatMessage(role=chat.CHAT_ROLE_USER, content=text)


def sampling(tokens_max: int = 12, seed: int = 7) -> chat.Sampling:
    return chat.Sampling(tokens_max=tokens_max, seed=seed, temperature=0)


def asked(*texts: str, tokens_max: int = 12) -> pb.ChatRequest:
    return pb.ChatRequest(messages=[user(one) for one in texts], sampling=sampling(tokens_max))


def as_stream(request: pb.ChatRequest) -> pb.StreamChatRequest:
    return pb.StreamChatRequest.FromString(request.SerializeToString())


async def streamed(subject: Subject, request: pb.ChatRequest) -> list[pb.StreamChatResponse]:
    stream = subject.backend.stream_chat(subject.model, as_stream(request))
    return [part async for part in stream]


def text_of(parts: list[pb.StreamChatResponse]) -> str:
    return "".join(part.text for part in parts)


class AnswerSuite:
    """What all do."""

    async def test_its_models_are_listed(self, subject: Subject) -> None:
        """With the one that is asked here."""
        assert subject.model in [one.name for one in await subject.backend.models()]

    async def test_a_conversation_is_answered(self, subject: Subject) -> None:
        """By an assistant, with what it cost and why it ended."""
        answer = await subject.backend.chat(subject.model, asked(QUESTION))
        assert answer.message.role == chat.CHAT_ROLE_ASSISTANT
        assert answer.message.content
        assert answer.finish_reason in {chat.FINISH_REASON_STOP, chat.FINISH_REASON_LENGTH}
        assert answer.usage.prompt_tokens > 0
        assert answer.usage.completion_tokens > 0

    async def test_a_stream_tells_the_same_in_parts(self, subject: Subject) -> None:
        """Why it ended and what it cost are in the last, and in no other."""
        parts = await streamed(subject, asked(QUESTION))
        assert len(parts) > 1
        *before, last = parts
        assert all(part.text or part.tool_calls for part in before)
        assert not any(part.finish_reason or part.HasField("usage") for part in before)
        assert last.finish_reason
        assert last.usage.completion_tokens > 0
        if subject.has(nouns.MODEL_FEATURE_RESUMABLE):
            answer = await subject.backend.chat(subject.model, asked(QUESTION))
            assert text_of(parts) == answer.message.content

    async def test_the_same_seed_has_the_same_answer(self, subject: Subject) -> None:
        """Where the backend says that it keeps that."""
        if not subject.has(nouns.MODEL_FEATURE_RESUMABLE):
            return
        request = asked(QUESTION)
        request.sampling.temperature = 1.0
        one, same = [text_of(await streamed(subject, request)) for _ in range(2)]
        assert one == same

    async def test_odd_words_pass(self, subject: Subject) -> None:
        """Other scripts, quotes, zeros and ends of lines, in a conversation of several roles."""
        request = asked('“Grüße”, 小川 🪿\n\t"\\ \u2028 {}[] data: [DONE]', QUESTION)
        request.messages.insert(0, chat.ChatMessage(role=chat.CHAT_ROLE_SYSTEM, content="Be kind."))
        request.messages.insert(
            2, chat.ChatMessage(role=chat.CHAT_ROLE_ASSISTANT, content="Gerne — wovon?")
        )
        answer = await subject.backend.chat(subject.model, request)
        assert answer.message.content == text_of(await streamed(subject, request))

    async def test_who_closes_a_stream_may_ask_again(self, subject: Subject) -> None:
        """An answer that nobody hears to its end costs the next nothing."""
        for _ in range(3):
            stream = subject.backend.stream_chat(subject.model, as_stream(asked(QUESTION)))
            async with aclosing(stream) as parts:
                async for _part in parts:
                    break
        assert (await subject.backend.chat(subject.model, asked(QUESTION))).message.content

    async def test_who_stops_waiting_may_ask_again(self, subject: Subject) -> None:
        """The same for one answer, wherever it stood."""
        for turns in range(4):
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(subject.backend.chat(subject.model, asked(QUESTION)))
                for _ in range(turns):
                    await SystemClock().sleep(0)
                waiting.cancel()
        assert (await subject.backend.chat(subject.model, asked(QUESTION))).message.content

    async def test_many_are_answered_at_once(self, subject: Subject) -> None:
        """Each with its own answer."""
        questions = [f"{QUESTION} {'very ' * number}" for number in range(6)]
        found = await asyncio.gather(
            *(subject.backend.chat(subject.model, asked(one)) for one in questions)
        )
        if subject.has(nouns.MODEL_FEATURE_RESUMABLE):
            alone = [await subject.backend.chat(subject.model, asked(one)) for one in questions]
            assert [one.message.content for one in found] == [one.message.content for one in alone]
        assert all(one.message.content for one in found)

    async def test_a_model_that_is_not_there_is_told(self, subject: Subject) -> None:
        """For an answer and for a stream."""
        with pytest.raises(ModelGone):
            await subject.backend.chat("no-such-model", asked(QUESTION))
        with pytest.raises(ModelGone):
            await streamed(Subject(subject.backend, "no-such-model"), asked(QUESTION))

    async def test_an_answer_is_as_long_as_it_may_be(self, subject: Subject) -> None:
        """And says that there would have been more."""
        if not subject.backend.nature.is_generative:
            return  # quotes are not cut
        request = asked(QUESTION, tokens_max=3)
        answer = await subject.backend.chat(subject.model, request)
        assert answer.finish_reason == chat.FINISH_REASON_LENGTH
        assert answer.usage.completion_tokens <= 3


class FeatureSuite:
    """What some do, and the others say that they do not."""

    async def test_a_text_is_gone_on_with(self, subject: Subject) -> None:
        """As one answer, and in parts."""
        request = pb.CompleteRequest(prompt="The mill", sampling=sampling())
        stream = pb.StreamCompleteRequest.FromString(request.SerializeToString())
        if not subject.has(nouns.MODEL_FEATURE_COMPLETION):
            with pytest.raises(Unsupported):
                await subject.backend.complete(subject.model, request)
            return
        answer = await subject.backend.complete(subject.model, request)
        assert answer.text
        assert answer.usage.completion_tokens > 0
        parts = [one async for one in subject.backend.stream_complete(subject.model, stream)]
        assert parts[-1].finish_reason
        if subject.has(nouns.MODEL_FEATURE_RESUMABLE):
            assert "".join(one.text for one in parts) == answer.text

    async def test_tools_are_called_as_they_were_told(self, subject: Subject) -> None:
        """In one answer and in parts; who has no tools says so."""
        tool = chat.Tool(name="look_up", description="Looks up.", parameters_schema=SCHEMA)
        request = asked("Use the tool.", tokens_max=200)
        request.tools.append(tool)
        if not subject.has(nouns.MODEL_FEATURE_TOOLS):
            with pytest.raises(Unsupported):
                await subject.backend.chat(subject.model, request)
            return
        request.tool_choice.use = chat.TOOL_USE_REQUIRED
        answer = await subject.backend.chat(subject.model, request)
        if not subject.obeys:
            return
        (call,) = answer.message.tool_calls
        assert (call.name, answer.finish_reason) == ("look_up", chat.FINISH_REASON_TOOL_CALLS)
        assert isinstance(json.loads(call.arguments_json), dict)
        parts = await streamed(subject, request)
        deltas = [one for part in parts for one in part.tool_calls]
        assert (deltas[0].name, bool(deltas[0].id)) == ("look_up", True)
        assert "".join(one.arguments_json for one in deltas) == call.arguments_json
        request.messages.append(answer.message)
        request.messages.append(
            chat.ChatMessage(role=chat.CHAT_ROLE_TOOL, content="42", tool_call_id=call.id)
        )
        request.tool_choice.use = chat.TOOL_USE_NONE
        assert (await subject.backend.chat(subject.model, request)).message.content

    async def test_json_has_the_form_that_was_asked_for(self, subject: Subject) -> None:
        """By a schema; who cannot says so."""
        request = asked("Which pump?", tokens_max=200)
        request.form.json_schema.name = "pump"
        request.form.json_schema.schema = SCHEMA
        if not subject.has(nouns.MODEL_FEATURE_JSON):
            with pytest.raises(Unsupported):
                await subject.backend.chat(subject.model, request)
            return
        answer = await subject.backend.chat(subject.model, request)
        if subject.obeys:
            found = json.loads(answer.message.content)
            assert isinstance(found["name"], str)
            assert isinstance(found["size"], int)

    async def test_a_schema_that_is_none_is_refused(self, subject: Subject) -> None:
        """Before anybody is asked."""
        if not subject.has(nouns.MODEL_FEATURE_JSON):
            return
        request = asked(QUESTION)
        for text in ("{nothing", "[]", '{"a":' * 5000, '{"title": "\\ud800"}'):
            request.form.json_schema.schema = text
            with pytest.raises(SchemaRefused):
                await subject.backend.chat(subject.model, request)

    async def test_what_is_too_long_is_told(self, subject: Subject) -> None:
        """It will not become shorter by itself."""
        if subject.context:
            with pytest.raises(ContextTooLong):
                await subject.backend.chat(subject.model, asked("long " * subject.context))


class BackendSuite(AnswerSuite, FeatureSuite):
    """A subclass has a fixture `subject`, fresh for each test or shared."""
