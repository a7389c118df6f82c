"""What becomes of a request whose backend fails: catalogue rows M060 and M063, over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.models.model.tries import pause_s
from tandem.models.v1 import model_pb2 as nouns
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.core.clock import SystemClock
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import failure_of
from tandemkit.testing.model_servers import Instead, ModelServer, model_server
from tests.unit.services.models.model.living import models, request, settings_for, stream_request

AWAY = Instead(503, {"error": {"message": "loading the model"}})


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server() as server:
        yield server


@pytest.fixture
async def second() -> AsyncIterator[ModelServer]:
    async with model_server(ModelServer(models=("starling",))) as server:
        yield server


def is_away(server: ModelServer, times: int = 1000) -> None:
    server.instead.extend([AWAY] * times)


async def attempts(server: ModelServer, clock: FakeClock, call: Any) -> list[float]:
    """When the server was asked, to 0.2 s, by the clock that goes on until the call is over."""
    times: list[float] = []
    is_over = False
    while not is_over:
        is_over = call.done()
        times += [clock.monotonic_s()] * (len(server.asked) - len(times))
        await SystemClock().sleep(0.002)
        await clock.advance(0.2)
    return times


async def test_m060_more_than_twelve_requests_are_served_at_once(
    server: ModelServer, tmp_path: Path
) -> None:
    """The server sees them beside each other, and each has the answer to its own question."""
    server.gate, server.gate_at = asyncio.Event(), 0
    async with models(settings_for(server), tmp_path) as stub:
        streams = [stub.StreamChat(stream_request(text=f"number {n}")) for n in range(16)]
        await server.until(lambda now: now.begun == 16)
        server.gate.set()
        found = [[part async for part in stream] for stream in streams]
        alone = [await stub.Chat(request(text=f"number {n}")) for n in range(16)]
    assert server.at_once_most == 16
    texts = ["".join(part.text for part in parts) for parts in found]
    assert texts == [one.message.content for one in alone]
    assert len(set(texts)) == 16


async def test_m060_a_failing_backend_is_tried_three_times_and_then_fails_cleanly(
    server: ModelServer, tmp_path: Path
) -> None:
    """4 s apart (R027), and the failure says how often, and what the server said."""
    clock = FakeClock()
    is_away(server)
    async with models(settings_for(server), tmp_path, clock) as stub:
        call = stub.Chat(request())
        first, second, third = await attempts(server, clock, call)
        assert second - first > 3.7
        assert third - second > 3.7
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        (backend, _quotes) = (await stub.ListBackends(pb.ListBackendsRequest())).backends
    failure = failure_of(caught.value)
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "BACKEND_UNREACHABLE",
    )
    assert (failure.metadata["attempts"], failure.metadata["said"]) == ("3", "loading the model")
    assert failure.retry_after_s
    assert failure.pushback_s == -0.001, "who calls would try all of it again"
    assert (backend.attempts, backend.failures) == (3, 3)
    assert backend.state == nouns.BACKEND_STATE_LEFT_ALONE


async def test_m060_a_backend_that_comes_back_answers_the_same_request(
    server: ModelServer, tmp_path: Path
) -> None:
    """Its caller notices the pauses alone."""
    clock = FakeClock()
    is_away(server, times=2)
    async with models(settings_for(server), tmp_path, clock) as stub:
        call = stub.Chat(request())
        assert len(await attempts(server, clock, call)) == 3
        answer = await call
    assert answer.message.content
    assert not answer.answerer.is_fallback


def test_pauses_are_as_the_requirements_quote_them() -> None:
    """`wait_exponential(multiplier=1, min=4, max=10)`."""
    assert [pause_s(attempts) for attempts in (1, 2, 3, 4, 5, 9)] == [4, 4, 4, 8, 10, 10]


async def test_no_pause_goes_beyond_the_deadline(server: ModelServer, tmp_path: Path) -> None:
    """Who has less time than a pause learns at once that there is no answer."""
    is_away(server)
    async with models(settings_for(server), tmp_path) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Chat(request(), timeout=3.9)
    assert failure_of(caught.value).reason == "BACKEND_UNREACHABLE"
    assert len(server.asked) == 1


async def test_a_failing_primary_with_a_fallback_costs_four_attempts_in_a_minute(
    server: ModelServer, second: ModelServer, tmp_path: Path
) -> None:
    """Of 20 requests, all of which are answered, with who stood in and why."""
    clock = FakeClock()
    is_away(server)
    async with models(settings_for(server, second), tmp_path, clock) as stub:
        for _ in range(20):
            answer = await stub.Chat(request())
            assert answer.message.content
            assert (answer.answerer.backend, answer.answerer.model) == ("second", "starling")
            assert answer.answerer.is_fallback
            assert answer.answerer.fallback_cause.startswith("first/parrot: ")
            await clock.advance(3.0)
        assert len(server.asked) <= 4
        server.instead.clear()
        await clock.advance(60.0)
        answer = await stub.Chat(request())
    assert (answer.answerer.backend, answer.answerer.is_fallback) == ("first", False)


async def test_a_fallback_stands_in_for_a_stream_before_its_first_word(
    server: ModelServer, second: ModelServer, tmp_path: Path
) -> None:
    """Behind that, nobody mixes the words of two models."""
    async with models(settings_for(server, second), tmp_path) as stub:
        is_away(server, times=1)
        parts = [part async for part in stub.StreamChat(stream_request())]
        assert parts[0].answerer.backend == "second"
        assert parts[-1].finish_reason
        server.cut_at, server.delay_s = 5, 0.005
        words: list[str] = []
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for part in stub.StreamChat(stream_request()):
                words += part.text.split()
    assert 0 < len(words) <= 5
    assert failure_of(caught.value).reason == "BACKEND_UNREACHABLE"
    assert len(second.asked) == 1


async def test_what_another_model_would_refuse_too_is_told_at_once(
    server: ModelServer, second: ModelServer, tmp_path: Path
) -> None:
    """A request that is wrong is wrong everywhere."""
    async with models(settings_for(server, second), tmp_path) as stub:
        server.instead.append(Instead(400, {"error": {"message": "no such parameter"}}))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Chat(request())
        assert failure_of(caught.value).reason == "BACKEND_REFUSED"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Chat(request(text="long " * 5000))
    assert failure_of(caught.value).reason == "CONTEXT_TOO_LONG"
    assert second.asked == []


async def test_the_first_failure_is_told_where_nobody_can_stand_in(
    server: ModelServer, tmp_path: Path
) -> None:
    """Quotes know no tools: that is not what is wrong."""
    settings = settings_for(server)
    settings.names[0].answerers.append("extractive/quotes")
    asked = request()
    asked.tools.add(name="look_up")
    async with models(settings, tmp_path) as stub:
        is_away(server)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Chat(asked)
    failure = failure_of(caught.value)
    assert failure.reason == "BACKEND_UNREACHABLE"
    assert failure.metadata["instead"].startswith("extractive/quotes: no language model")


async def test_a_backend_has_no_more_to_do_than_its_settings_allow(
    server: ModelServer, tmp_path: Path
) -> None:
    """The others wait, and are told in time where they wait in vain."""
    server.gate, server.gate_at = asyncio.Event(), 0
    async with models(settings_for(server, at_once_max=2), tmp_path) as stub:
        streams = [stub.StreamChat(stream_request(text=f"number {n}")) for n in range(4)]
        await server.until(lambda now: now.begun == 2)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Chat(request(), timeout=0.3)
        server.gate.set()
        for stream in streams:
            assert [part async for part in stream][-1].finish_reason
    assert server.at_once_most == 2


async def test_who_hangs_up_ends_the_servers_work(server: ModelServer, tmp_path: Path) -> None:
    """Through the agent: the server sees its client gone, in a stream and before an answer."""
    server.gate = asyncio.Event()
    async with models(settings_for(server), tmp_path) as stub:
        stream = stub.StreamChat(stream_request())
        await anext(aiter(stream))
        stream.cancel()
        await server.until(lambda now: now.left == 1)
        server.delay_s = 9.0
        call = stub.Chat(request())
        await server.until(lambda now: now.at_once == 1)
        call.cancel()
        await server.until(lambda now: not now.at_once)


async def test_without_a_name_the_first_model_of_the_first_backend_answers(
    server: ModelServer, tmp_path: Path
) -> None:
    """While that is away quotes stand in, and say so."""
    async with models(settings_for(server), tmp_path) as stub:
        answer = await stub.Chat(request(model=""))
        assert (answer.answerer.backend, answer.answerer.model) == ("first", "parrot")
        listed = (await stub.ListModels(pb.ListModelsRequest())).models
        default = (await stub.GetModel(pb.GetModelRequest())).model
    assert [one.name for one in listed] == ["chain", "default", "extractive/quotes", "first/parrot"]
    assert default.answerers == ["first/parrot", "extractive/quotes"]
    assert default.context_tokens_max == server.context_tokens
    assert nouns.MODEL_FEATURE_TOOLS in default.features


@pytest.mark.parametrize("model", ["first/no-such", "no-such/parrot", "no-such", "first/"])
async def test_a_model_that_is_not_there_is_told(
    server: ModelServer, tmp_path: Path, model: str
) -> None:
    """Whoever knows that it is not: we, or its server."""
    async with models(settings_for(server), tmp_path) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Chat(request(model=model))
    failure = failure_of(caught.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_UNKNOWN")
