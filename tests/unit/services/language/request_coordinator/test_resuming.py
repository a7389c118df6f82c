"""Streams of answers that go on behind a cut, wherever it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.resuming import is_resumable
from tandemkit.testing.failures import failure_of
from tests.unit.services.language.request_coordinator.asking import (
    Beside,
    away,
    coordinating,
    events,
)

_REQUESTS = {
    "documents": pb.StreamAskRequest(text="How is a leak of the pump closed?"),
    "model": pb.StreamAskRequest(text="Praise pumps.", route=nouns.ROUTE_CHAT),
    "toolbox": pb.StreamAskRequest(text="What is 3 + 4?"),
}


@pytest.mark.parametrize("kind", _REQUESTS)
async def test_a_stream_goes_on_behind_any_message(tmp_path: Path, kind: str) -> None:
    """At a coordinator that knows nothing of it: what comes then is what had not come yet."""
    beside = Beside()
    beside.memories = away
    async with coordinating(tmp_path / "one", beside) as agent:
        whole = await events(agent.StreamAsk(_REQUESTS[kind]))
    async with coordinating(tmp_path / "other", beside) as agent:
        for cut, message in enumerate(whole):
            rest = await events(agent.StreamAsk(_behind(_REQUESTS[kind], message)))
            wanted = whole[cut + 1 :]
            assert [_plain(one) for one in rest] == [_plain(one) for one in wanted]


async def test_another_answer_is_never_mixed_in(tmp_path: Path) -> None:
    """Where it cannot be made again the stream fails, and says what to do."""
    beside, request = Beside(), _REQUESTS["documents"]
    async with coordinating(tmp_path, beside) as agent:
        whole = await events(agent.StreamAsk(request))
        beside.documents, beside.memories = beside.find_no_passage, beside.recall
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await events(agent.StreamAsk(_behind(request, whole[-2])))
    assert failure_of(caught.value).reason == "STREAM_NOT_RESUMABLE"


@pytest.mark.parametrize("token", ["nonsense", "AAAA", "\u2603", None])
async def test_a_token_of_another_stream_is_refused(tmp_path: Path, token: str | None) -> None:
    """Also one of another request."""
    async with coordinating(tmp_path, Beside()) as agent:
        if token is None:
            token = (await events(agent.StreamAsk(_REQUESTS["toolbox"])))[0].resume_token
        request = pb.StreamAskRequest(text="Something else.", resume_token=token)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await events(agent.StreamAsk(request))
    assert failure_of(caught.value).reason == "RESUME_TOKEN_INVALID"


def test_the_contract_says_that_it_can_go_on() -> None:
    """So that the faces of the gateway and the command line go on with it by themselves."""
    methods = {one.name: one for one in Contract.of(pb.DESCRIPTOR).methods}
    assert is_resumable(methods["StreamAsk"])
    assert not is_resumable(methods["Ask"])


def _behind(request: pb.StreamAskRequest, message: pb.StreamAskResponse) -> pb.StreamAskRequest:
    again = pb.StreamAskRequest()
    again.CopyFrom(request)
    again.resume_token = message.resume_token
    return again


def _plain(message: Any) -> Any:
    """Without how long it took."""
    plain = pb.StreamAskResponse()
    plain.CopyFrom(message)
    if message.HasField("finished"):
        plain.finished.ClearField("took")
    return plain
