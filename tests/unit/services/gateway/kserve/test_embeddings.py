"""inference.GRPCInferenceService over the models of texts, over the wire."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from inference import grpc_inference_service_pb2 as pb
from tandemkit.ml.embedding.hashing import HashingEmbedder
from tandemkit.testing.failures import failure_of
from tests.unit.services.gateway.kserve.inferring import MODEL, Texts, inferring, packed, request

INVALID = grpc.StatusCode.INVALID_ARGUMENT
Change = Callable[[pb.ModelInferRequest], Any]


async def test_a_tensor_of_texts_is_one_call_and_one_tensor_of_vectors(tmp_path: Path) -> None:
    """Raw contents answer raw contents, row by row, exactly as the agent computed them."""
    texts = Texts()
    async with inferring(tmp_path, texts) as agent:
        answer = await agent.ModelInfer(request("a pump", "a leak", "wax", id="7"))
    (output,) = answer.outputs
    assert (answer.model_name, answer.id) == (MODEL, "7")
    assert answer.model_version == HashingEmbedder(MODEL).space.version
    assert (output.name, output.datatype, list(output.shape)) == ("embedding", "FP32", [3, 384])
    assert not output.HasField("contents")
    numbers = struct.unpack(f"<{3 * 384}f", answer.raw_output_contents[0])
    wanted = await HashingEmbedder(MODEL).embed(["a pump", "a leak", "wax"])
    assert list(numbers) == pytest.approx([one for row in wanted for one in row.vector], abs=1e-7)
    assert [list(one.texts) for one in texts.asked] == [["a pump", "a leak", "wax"]]


async def test_typed_contents_are_answered_by_typed_contents(tmp_path: Path) -> None:
    """The same numbers, in the list that the datatype asks for."""
    sent = pb.ModelInferRequest(model_name=MODEL)
    given = sent.inputs.add(name="text", datatype="BYTES", shape=[2])
    given.contents.bytes_contents.extend([b"a pump", "größe".encode()])
    async with inferring(tmp_path) as agent:
        typed = await agent.ModelInfer(sent)
        raw = await agent.ModelInfer(request("a pump", "größe"))
    assert not typed.raw_output_contents
    numbers = list(typed.outputs[0].contents.fp32_contents)
    assert struct.pack(f"<{len(numbers)}f", *numbers) == raw.raw_output_contents[0]


def with_input(**fields: Any) -> Change:
    def change(sent: pb.ModelInferRequest) -> None:
        sent.inputs[0].MergeFrom(pb.ModelInferRequest.InferInputTensor(**fields))

    return change


def with_shape(*shape: int) -> Change:
    def change(sent: pb.ModelInferRequest) -> None:
        sent.inputs[0].shape[:] = shape

    return change


def with_raw(*raw: bytes) -> Change:
    def change(sent: pb.ModelInferRequest) -> None:
        sent.raw_input_contents[:] = raw

    return change


def with_parameter(name: str, **value: Any) -> Change:
    def change(sent: pb.ModelInferRequest) -> None:
        sent.parameters[name].MergeFrom(type(sent.parameters[name])(**value))

    return change


def untyped(sent: pb.ModelInferRequest) -> None:
    del sent.raw_input_contents[:]
    sent.inputs[0].contents.fp32_contents.append(1.0)


def shared(sent: pb.ModelInferRequest) -> None:
    sent.inputs[0].parameters["shared_memory_region"].string_param = "mine"


def classified(sent: pb.ModelInferRequest) -> None:
    sent.outputs.add(name="embedding").parameters["classification"].int64_param = 3


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        (with_input(name="txt"), "TENSOR_INVALID", "no input `txt`; it takes `text`"),
        (with_input(datatype="FP32"), "TENSOR_INVALID", "`text` is FP32; it takes BYTES"),
        (with_shape(2), "TENSOR_INVALID", "has 1 elements, and its shape [2] asks for 2"),
        (with_shape(1, 1), "TENSOR_INVALID", "has the shape [1, 1]; it takes [-1]"),
        (with_shape(0), "TENSOR_INVALID", "has the shape [0]"),
        (with_shape(-1), "TENSOR_INVALID", "has the shape [-1]"),
        (with_raw(b"\x09\x00\x00\x00short"), "TENSOR_INVALID", "ends within an element"),
        (with_raw(b"\x01"), "TENSOR_INVALID", "ends within an element"),
        (with_raw(b"", b""), "TENSOR_INVALID", "1 inputs and 2 raw_input_contents"),
        (with_raw(packed([b"\xff"])), "TENSOR_INVALID", "text 0 of input `text` is no UTF-8"),
        (with_raw(packed([b" \n"])), "TENSOR_INVALID", "text 0 of input `text` has nothing in it"),
        (with_raw(packed([b"x" * 65537])), "TENSOR_INVALID", "has 65537 bytes"),
        (untyped, "TENSOR_INVALID", "is BYTES, and has fp32_contents"),
        (with_parameter("priority", int64_param=-1), "INFERENCE_PARAMETER_INVALID", "below 0"),
        (with_parameter("depth", int64_param=1), "INFERENCE_PARAMETER_INVALID", "no parameter"),
        (
            with_parameter("purpose", string_param="fun"),
            "INFERENCE_PARAMETER_INVALID",
            "is one of `passage`, `query`",
        ),
    ],
)
async def test_a_tensor_that_does_not_fit_is_refused_in_words(
    tmp_path: Path, change: Change, reason: str, said: str
) -> None:
    """Clients of the protocol show the message alone: it says what is wrong with what."""
    texts, sent = Texts(), request("a pump")
    change(sent)
    async with inferring(tmp_path, texts) as agent:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await agent.ModelInfer(sent)
    failure = failure_of(caught.value)
    assert (failure.code, failure.reason, failure.domain) == (INVALID, reason, "tandem.gateway.v1")
    assert said in failure.message
    assert not texts.asked


@pytest.mark.parametrize(
    "change", [shared, classified, with_parameter("sequence_id", int64_param=4)]
)
async def test_what_is_not_there_says_so(tmp_path: Path, change: Change) -> None:
    """Nothing is left out silently: who relies on it learns that at once."""
    sent = request("a pump")
    change(sent)
    async with inferring(tmp_path) as agent:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await agent.ModelInfer(sent)
    assert failure_of(caught.value).reason == "INFERENCE_FEATURE_UNSUPPORTED"
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_inputs_are_there_once_and_outputs_are_the_models(tmp_path: Path) -> None:
    """A missing input, a second one, and an output that nobody gives."""
    twice, none = request("a"), pb.ModelInferRequest(model_name=MODEL)
    twice.inputs.add().CopyFrom(twice.inputs[0])
    twice.raw_input_contents.append(twice.raw_input_contents[0])
    other = request("a")
    other.outputs.add(name="logits")
    said = []
    async with inferring(tmp_path) as agent:
        for sent in (twice, none, other):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await agent.ModelInfer(sent)
            said.append(failure_of(caught.value).message)
    assert said == [
        "input `text` was sent twice",
        "input `text` is missing",
        "the model has no output `logits`; it gives `embedding`",
    ]


async def test_parameters_that_a_model_knows_are_heard(tmp_path: Path) -> None:
    """A request of a lesser class, a purpose, and a time after which nobody waits."""
    texts = Texts()
    async with inferring(tmp_path, texts) as agent:
        sent = request("a pump")
        sent.parameters["priority"].uint64_param = 2
        sent.parameters["purpose"].string_param = "query"
        sent.parameters["timeout"].uint64_param = 2**64 - 1
        await agent.ModelInfer(sent)
        await agent.ModelInfer(request("a pump"))
        texts.is_slow = True
        late = request("a pump")
        late.parameters["timeout"].int64_param = 50_000
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await agent.ModelInfer(late)
    assert [one.purpose for one in texts.asked[:2]] == [2, 0]
    assert texts.classes[0] == "batch"
    assert texts.classes[1] != "batch"
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_failure_of_the_agent_is_told_in_its_words(tmp_path: Path) -> None:
    """It knows better than the gateway why it does not answer; nobody tries it once more."""
    texts = Texts()
    async with inferring(tmp_path, texts) as agent:
        await agent.ModelInfer(request("a pump"))
        texts.away = grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await agent.ModelInfer(request("a pump"))
    failure = failure_of(caught.value)
    assert (failure.code, failure.message) == (
        grpc.StatusCode.UNAVAILABLE,
        "the texts are away",
    )
    assert failure.pushback_s is not None
    assert failure.pushback_s < 0


async def test_a_refusal_fits_into_its_status_whatever_was_sent(tmp_path: Path) -> None:
    """A name of a megabyte is not sent back whole, which would lose the refusal."""
    long = "ä" * 1_000_000
    tensor, model = request("a"), request("a")
    tensor.inputs[0].name, model.model_name = long, long
    shape, parameter = request("a"), request("a")
    shape.inputs[0].shape[:] = [1] * 100_000
    parameter.parameters[long].bool_param = True
    codes = []
    async with inferring(tmp_path) as agent:
        for sent in (tensor, model, shape, parameter):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await agent.ModelInfer(sent)
            codes.append(caught.value.code())
            assert failure_of(caught.value).domain == "tandem.gateway.v1"
    assert codes == [INVALID, grpc.StatusCode.NOT_FOUND, INVALID, INVALID]


async def test_more_texts_than_the_agent_takes_are_refused_with_the_number(tmp_path: Path) -> None:
    """One request is one call, so it is bounded as that is."""
    async with inferring(tmp_path) as agent:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await agent.ModelInfer(request(*["a"] * 257))
    assert "has 257 texts; a request takes 256 at most" in failure_of(caught.value).message
