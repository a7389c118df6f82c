"""What inference.GRPCInferenceService says of models, and what becomes of one that is unloaded."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from inference import grpc_inference_service_pb2 as pb
from inference import model_config_pb2 as configs
from tandemkit.ml.embedding.hashing import HashingEmbedder
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import failure_of
from tests.unit.services.gateway.kserve.inferring import MODEL, Texts, inferring, request

VERSION = HashingEmbedder(MODEL).space.version


async def test_a_model_says_what_it_takes_and_gives(tmp_path: Path) -> None:
    """In the protocol's words and in Triton's, alike."""
    async with inferring(tmp_path) as agent:
        said = await agent.ModelMetadata(pb.ModelMetadataRequest(name=MODEL))
        config = (await agent.ModelConfig(pb.ModelConfigRequest(name=MODEL))).config
        talking = (await agent.ModelConfig(pb.ModelConfigRequest(name="default"))).config
    assert (list(said.versions), said.platform) == ([VERSION], "tandem_embedding")
    (taken,), (given,) = said.inputs, said.outputs
    assert (taken.name, taken.datatype, list(taken.shape)) == ("text", "BYTES", [-1])
    assert (given.name, given.datatype, list(given.shape)) == ("embedding", "FP32", [-1, 384])
    assert config.input[0].data_type == configs.TYPE_STRING
    assert config.output[0].data_type == configs.TYPE_FP32
    assert list(config.output[0].dims) == [-1, 384]
    assert not config.model_transaction_policy.decoupled
    assert talking.model_transaction_policy.decoupled
    assert [one.optional for one in talking.input] == [False, True, True, True]


async def test_what_lives_and_what_is_ready_is_told(tmp_path: Path) -> None:
    """A model that could not be asked is not ready, and one that nobody knows is no failure."""
    texts, clock = Texts(), FakeClock()
    async with inferring(tmp_path, texts, clock=clock) as agent:
        assert (await agent.ServerLive(pb.ServerLiveRequest())).live
        assert (await agent.ServerReady(pb.ServerReadyRequest())).ready
        server = await agent.ServerMetadata(pb.ServerMetadataRequest())
        assert (server.name, server.version) == ("tandem", "2")
        assert "model_repository" in server.extensions

        async def ready(name: str, version: str = "") -> bool:
            asked = pb.ModelReadyRequest(name=name, version=version)
            return bool((await agent.ModelReady(asked)).ready)

        assert [await ready(MODEL), await ready(MODEL, VERSION)] == [True, True]
        assert [await ready("nobody's"), await ready(MODEL, "other")] == [False, False]
        texts.cause = "its files are missing"
        await clock.advance(2.0)
        index = await agent.RepositoryIndex(pb.RepositoryIndexRequest())
        assert not await ready(MODEL)
        only = await agent.RepositoryIndex(pb.RepositoryIndexRequest(ready=True))
    states = [(one.name, one.state, one.reason) for one in index.models]
    assert states[0] == (MODEL, "UNAVAILABLE", "its files are missing")
    assert states[1:] == [("default", "READY", ""), ("talker/words", "READY", "")]
    assert [one.name for one in only.models] == ["default", "talker/words"]


async def test_a_model_that_nobody_has_is_told_from_one_of_which_nothing_is_known(
    tmp_path: Path,
) -> None:
    """While an agent is away its models may be there: that is not NOT_FOUND."""
    # Nobody tries once more after that, which would take time that the clock does not have.
    texts = Texts(away=grpc.StatusCode.RESOURCE_EXHAUSTED)
    clock = FakeClock()
    async with inferring(tmp_path, texts, clock=clock) as agent:
        with pytest.raises(grpc.aio.AioRpcError) as away:
            await agent.ModelMetadata(pb.ModelMetadataRequest(name=MODEL))
        texts.away = None
        await clock.advance(2.0)
        assert (await agent.ModelMetadata(pb.ModelMetadataRequest(name=MODEL))).versions
        with pytest.raises(grpc.aio.AioRpcError) as absent:
            await agent.ModelMetadata(pb.ModelMetadataRequest(name="other"))
        with pytest.raises(grpc.aio.AioRpcError) as old:
            await agent.ModelInfer(request("a", model_version="1.2"))
    assert away.value.code() is grpc.StatusCode.UNAVAILABLE
    assert failure_of(away.value).reason == "INFERENCE_MODELS_UNTOLD"
    assert absent.value.code() is grpc.StatusCode.NOT_FOUND
    assert failure_of(old.value).reason == "INFERENCE_MODEL_UNKNOWN"
    assert f"has version `{VERSION}`, and `1.2`" in failure_of(old.value).message


async def test_who_has_a_model_is_not_asked_again_for_each_request(tmp_path: Path) -> None:
    """A hundred inferences are a hundred calls of the agent and one look at its models."""
    texts = Texts()
    async with inferring(tmp_path, texts) as agent:
        for _ in range(100):
            await agent.ModelInfer(request("a pump"))
    assert (len(texts.asked), texts.listed) == (100, 1)


async def test_an_unloaded_model_is_refused_until_it_is_loaded(tmp_path: Path) -> None:
    """Loading gives it back, and has it in memory; what it cannot bring along is refused."""
    texts = Texts()
    async with inferring(tmp_path, texts) as agent:
        unload = pb.RepositoryModelUnloadRequest(model_name=MODEL)
        unload.parameters["unload_dependents"].bool_param = True
        await agent.RepositoryModelUnload(unload)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await agent.ModelInfer(request("a pump"))
        index = await agent.RepositoryIndex(pb.RepositoryIndexRequest())
        assert (index.models[0].state, index.models[0].reason) == ("UNAVAILABLE", "unloaded")
        assert not texts.asked
        await agent.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name=MODEL))
        assert len(texts.asked) == 1
        assert (await agent.ModelInfer(request("a pump"))).outputs
        with_files = pb.RepositoryModelLoadRequest(model_name=MODEL)
        with_files.parameters["config"].string_param = "{}"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await agent.RepositoryModelLoad(with_files)
    assert failure_of(caught.value).reason == "INFERENCE_MODEL_UNLOADED"
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_statistics_count_requests_texts_and_failures(tmp_path: Path) -> None:
    """By batch size; what was refused before it reached the agent is a failure too."""
    async with inferring(tmp_path, clock=FakeClock()) as agent:
        await agent.ModelInfer(request("a"))
        await agent.ModelInfer(request("a", "b", "c"))
        await agent.ModelInfer(request("d", "e", "f"))
        with pytest.raises(grpc.aio.AioRpcError):
            await agent.ModelInfer(request(" "))
        (told,) = (await agent.ModelStatistics(pb.ModelStatisticsRequest())).model_stats
        named = await agent.ModelStatistics(pb.ModelStatisticsRequest(name="default"))
    assert (told.name, told.version) == (MODEL, VERSION)
    assert (told.inference_count, told.execution_count) == (7, 3)
    assert (told.inference_stats.success.count, told.inference_stats.fail.count) == (3, 1)
    assert told.inference_stats.compute_infer.ns > 0
    assert [(one.batch_size, one.compute_infer.count) for one in told.batch_stats] == [
        (1, 1),
        (3, 2),
    ]
    assert told.last_inference > 0
    assert [one.execution_count for one in named.model_stats] == [0]


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("SystemSharedMemoryStatus", pb.SystemSharedMemoryStatusRequest()),
        ("CudaSharedMemoryRegister", pb.CudaSharedMemoryRegisterRequest()),
        ("TraceSetting", pb.TraceSettingRequest()),
        ("LogSettings", pb.LogSettingsRequest()),
    ],
)
async def test_what_the_server_lacks_is_unimplemented_with_a_reason(
    tmp_path: Path, method: str, asked: object
) -> None:
    """A sentence that says what to do instead, where there is something."""
    async with inferring(tmp_path) as agent:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await getattr(agent, method)(asked)
    failure = failure_of(caught.value)
    assert failure.code is grpc.StatusCode.UNIMPLEMENTED
    assert failure.reason == "INFERENCE_FEATURE_UNSUPPORTED"
    assert failure.message.startswith("there ")
