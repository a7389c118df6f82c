"""Who may ask a model: callers with keys of their own are looked at here, for agents behind models
are asked in our name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from inference import grpc_inference_service_pb2 as pb
from tandemkit.rpc.callers import HEADER
from tandemkit.testing.failures import failure_of
from tests.unit.services.gateway.kserve.inferring import MODEL, Talker, inferring, prompt, request

# Nobody has told any rules: agents may read all that has none, and no key opens anything.
ADA = ((HEADER, "callers/ada"),)
AGENT = ((HEADER, "agents/tasks-job"),)


async def test_texts_are_embedded_for_every_caller(tmp_path: Path) -> None:
    """What is answered is of the request alone."""
    async with inferring(tmp_path) as agent:
        answer = await agent.ModelInfer(request("a pump"), metadata=ADA)
        listed = await agent.RepositoryIndex(pb.RepositoryIndexRequest(), metadata=ADA)
        named = await agent.ModelMetadata(pb.ModelMetadataRequest(name=MODEL), metadata=ADA)
    assert answer.outputs[0].shape == [1, 384]
    assert MODEL in {one.name for one in listed.models}
    assert named.name == MODEL


@pytest.mark.parametrize("task", ["chat", "completion"])
async def test_a_language_model_is_asked_by_who_may_read_the_namespace(
    tmp_path: Path, task: str
) -> None:
    """The agent behind it hears nothing of anybody else."""
    talker, asked = Talker(), prompt("how")
    asked.parameters["task"].string_param = task
    async with inferring(tmp_path, talker=talker) as agent:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await agent.ModelInfer(asked, metadata=ADA)
        assert failure_of(caught.value).reason == "NAMESPACE_FORBIDDEN"
        assert talker.asked == []
        await agent.ModelInfer(asked, metadata=AGENT)
        assert len(talker.asked) == 1


async def test_a_stream_says_who_may_not_and_goes_on(tmp_path: Path) -> None:
    """Each request is looked at for itself."""
    talker = Talker()

    async def both() -> Any:
        yield prompt("how", stream=True)
        yield request("a pump")

    async with inferring(tmp_path, talker=talker) as agent:
        told = [one async for one in agent.ModelStreamInfer(both(), metadata=ADA)]
    assert "has not the right" in told[0].error_message
    assert told[-1].infer_response.model_name == MODEL
    assert talker.asked == []


@pytest.mark.parametrize(
    "call",
    [
        lambda agent: agent.ModelStatistics(pb.ModelStatisticsRequest(), metadata=ADA),
        lambda agent: agent.RepositoryModelUnload(
            pb.RepositoryModelUnloadRequest(model_name=MODEL), metadata=ADA
        ),
        lambda agent: agent.RepositoryModelLoad(
            pb.RepositoryModelLoadRequest(model_name=MODEL), metadata=ADA
        ),
    ],
)
async def test_what_is_everybodys_is_the_operators(
    tmp_path: Path, call: Callable[[Any], Awaitable[Any]]
) -> None:
    """A caller with a key takes no model from others, and does not learn what they do."""
    async with inferring(tmp_path) as agent:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(agent)
        assert failure_of(caught.value).reason == "NAMESPACE_FORBIDDEN"
        assert (await agent.ModelReady(pb.ModelReadyRequest(name=MODEL))).ready
