"""Streams of answers that go on behind a cut, over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_service_pb2 as pb
from tandem.models.v1 import model_service_pb2_grpc as rpc
from tandemkit.rpc.resuming import resuming
from tandemkit.testing.failures import failure_of
from tandemkit.testing.model_servers import ModelServer, model_server
from tests.unit.services.models.model.living import models, settings_for, stream_request
from tests.unit.services.models.model.test_quotes import quoting


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server(ModelServer(delay_s=0.001)) as server:
        yield server


def tool_request() -> pb.StreamChatRequest:
    request = stream_request(text="Use the tool.")
    request.tools.add(name="look_up")
    request.tool_choice.use = chat.TOOL_USE_REQUIRED
    return request


async def whole(
    stub: rpc.ModelServiceAsyncStub, request: pb.StreamChatRequest
) -> list[pb.StreamChatResponse]:
    return [part async for part in stub.StreamChat(request)]


def sum_of(parts: list[pb.StreamChatResponse]) -> pb.StreamChatResponse:
    """All that a caller has at the end, however it was parted."""
    found = pb.StreamChatResponse()
    for part in parts:
        text, calls = found.text + part.text, list(found.tool_calls)
        for call in part.tool_calls:
            if call.name:
                calls.append(call)
            else:
                calls[call.index].arguments_json += call.arguments_json
        found.MergeFrom(part)
        found.text = text
        del found.tool_calls[:]
        found.tool_calls.extend(calls)
    return found


@pytest.mark.parametrize("request_", [stream_request(), tool_request()], ids=["text", "tools"])
async def test_a_stream_goes_on_behind_any_of_its_parts(
    server: ModelServer, tmp_path: Path, request_: pb.StreamChatRequest
) -> None:
    """Byte for byte, in parts as before or in others; from any replica, which knows nothing."""
    async with models(settings_for(server), tmp_path) as stub:
        undisturbed = await whole(stub, request_)
    async with models(settings_for(server), tmp_path / "another") as stub:
        for at, part in enumerate(undisturbed):
            server.words_at_once = 1 + at % 3
            request_.resume_token = part.resume_token
            rest = await whole(stub, request_)
            assert sum_of([*undisturbed[: at + 1], *rest]) == sum_of(undisturbed)
            assert rest or at == len(undisturbed) - 1
            assert len(part.resume_token) < 400


async def test_a_stream_without_a_seed_has_one_for_its_cuts(
    server: ModelServer, tmp_path: Path
) -> None:
    """Another stream has another one."""
    request = stream_request()
    request.sampling.ClearField("seed")
    async with models(settings_for(server), tmp_path) as stub:
        first = await whole(stub, request)
        other = await whole(stub, request)
        request.resume_token = first[1].resume_token
        rest = await whole(stub, request)
    assert sum_of([*first[:2], *rest]) == sum_of(first)
    assert [one.text for one in other] != [one.text for one in first]


async def test_many_cuts_of_one_stream_leave_no_trace(server: ModelServer, tmp_path: Path) -> None:
    """The backend breaks off behind every sixth word, and the caller sees one stream."""
    async with models(settings_for(server), tmp_path) as stub:
        undisturbed = await whole(stub, stream_request())
        server.cuts.extend(range(3, 42, 6))
        found = [part async for part in resuming(stub.StreamChat, stream_request())]
    assert server.begun == 1 + 7 + 1
    assert "".join(one.text for one in found) == "".join(one.text for one in undisturbed)
    assert {one.response_id for one in found if one.response_id} == {found[0].response_id}


async def test_another_answer_is_never_mixed_with_the_first(
    server: ModelServer, tmp_path: Path
) -> None:
    """A backend that answers otherwise now, is asked for nothing more, or is not there."""
    server.is_fickle = True
    settings = settings_for(server)
    async with models(settings, tmp_path) as stub:
        request = stream_request()
        first = await whole(stub, request)
        request.resume_token = first[1].resume_token
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await whole(stub, request)
        assert failure_of(caught.value).code is grpc.StatusCode.ABORTED
        assert failure_of(caught.value).reason == "STREAM_NOT_RESUMABLE"
    settings.backends[0].openai.without_seed = True
    asked = len(server.asked)
    async with models(settings, tmp_path) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await whole(stub, request)
    assert failure_of(caught.value).reason == "STREAM_NOT_RESUMABLE"
    del settings.backends[:], settings.names[:]
    async with models(settings, tmp_path) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await whole(stub, request)
    assert failure_of(caught.value).reason == "STREAM_NOT_RESUMABLE"
    assert len(server.asked) == asked


@pytest.mark.parametrize("how", ["forged", "foreign", "of another method", "cut"])
async def test_a_token_that_is_none_is_refused(
    server: ModelServer, tmp_path: Path, how: str
) -> None:
    """And nobody is asked for it."""
    async with models(settings_for(server), tmp_path) as stub:
        (token, *_) = [one.resume_token for one in await whole(stub, stream_request())]
        request, asked = stream_request(), len(server.asked)
        request.resume_token = token
        if how == "forged":
            request.resume_token = "AAAA" + token
        if how == "foreign":
            request.messages[0].content += "?"
        if how == "cut":
            request.resume_token = token[:-60]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            if how == "of another method":
                other = pb.StreamCompleteRequest(prompt="x", resume_token=token)
                _ = [part async for part in stub.StreamComplete(other)]
            else:
                await whole(stub, request)
    assert failure_of(caught.value).reason == "RESUME_TOKEN_INVALID"
    assert len(server.asked) == asked


async def test_who_answered_goes_on_though_others_would_answer_now(
    server: ModelServer, tmp_path: Path
) -> None:
    """A fallback that had begun ends what it began, and says again what it is."""
    async with model_server(ModelServer(models=("starling",), delay_s=0.001)) as second:
        settings = settings_for(server, second)
        async with models(settings, tmp_path) as stub:
            server.cut_at = 0
            first = await whole(stub, stream_request())
            server.cut_at = None
            request = stream_request()
            request.resume_token = first[1].resume_token
            rest = await whole(stub, request)
    assert rest[0].answerer.backend == "second"
    assert rest[0].answerer.is_fallback
    texts = "".join(one.text for one in [*first[:2], *rest])
    assert texts == "".join(one.text for one in first)


async def test_quotes_go_on_too(tmp_path: Path) -> None:
    """With their sources in the last."""
    said = chat.ChatMessage(role=chat.CHAT_ROLE_USER, content="How is the pump closed?")
    request = pb.StreamChatRequest(messages=[said])
    async with quoting(tmp_path) as stub:
        undisturbed = [part async for part in stub.StreamChat(request)]
        request.resume_token = undisturbed[2].resume_token
        rest = [part async for part in stub.StreamChat(request)]
    assert sum_of([*undisturbed[:3], *rest]) == sum_of(undisturbed)
    assert rest[-1].sources


async def test_a_continuation_goes_on_behind_any_of_its_parts(
    server: ModelServer, tmp_path: Path
) -> None:
    """As a conversation does."""
    request = pb.StreamCompleteRequest(model="chain", prompt="The mill")
    async with models(settings_for(server), tmp_path) as stub:
        undisturbed = [part async for part in stub.StreamComplete(request)]
        for at in (0, len(undisturbed) // 2, len(undisturbed) - 2):
            request.resume_token = undisturbed[at].resume_token
            rest = [part async for part in stub.StreamComplete(request)]
            found = "".join(one.text for one in [*undisturbed[: at + 1], *rest])
            assert found == "".join(one.text for one in undisturbed)
            assert rest[-1].usage == undisturbed[-1].usage
