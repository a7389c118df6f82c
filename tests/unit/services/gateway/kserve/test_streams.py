"""Language models by inference.GRPCInferenceService: whole answers, and such that are streamed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from inference import grpc_inference_service_pb2 as pb
from tandem.models.v1 import chat_pb2 as chats
from tandemkit.testing.failures import failure_of
from tests.unit.services.gateway.kserve.inferring import (
    Talker,
    inferring,
    packed,
    prompt,
    request,
)


def texts(answer: pb.ModelInferResponse) -> dict[str, list[bytes]]:
    return {one.name: list(one.contents.bytes_contents) for one in answer.outputs}


async def told(*requests: pb.ModelInferRequest) -> AsyncIterator[pb.ModelInferRequest]:
    for one in requests:
        yield one


async def test_a_prompt_is_answered_whole(tmp_path: Path) -> None:
    """With who answered, which is never hidden, and how it was to choose its words."""
    talker = Talker()
    sent = prompt("Count.", sampling='{"temperature": "0.5", "max_tokens": 9, "stop": ["."]}')
    sent.parameters["system"].string_param = "Be brief."
    async with inferring(tmp_path, talker=talker) as agent:
        answer = await agent.ModelInfer(sent)
    assert texts(answer) == {"text_output": [b"one two three"], "finish_reason": [b"stop"]}
    assert answer.parameters["backend"].string_param == "talker"
    assert answer.parameters["is_generative"].bool_param
    (asked,) = talker.asked
    said = [(one.role, one.content) for one in asked.messages]
    assert said == [(chats.CHAT_ROLE_SYSTEM, "Be brief."), (chats.CHAT_ROLE_USER, "Count.")]
    wanted = chats.Sampling(temperature=0.5, tokens_max=9, stop=["."])
    assert asked.sampling == wanted


async def test_a_stream_answers_as_the_model_does(tmp_path: Path) -> None:
    """A part for each part, none of them the last until the model says why it ended; whoever wants
    an end of its own gets one.
    """
    sent = prompt("Count.", stream=True)
    sent.parameters["triton_enable_empty_final_response"].bool_param = True
    async with inferring(tmp_path) as agent:
        answers = [one async for one in agent.ModelStreamInfer(told(sent))]
    assert not any(one.error_message for one in answers)
    parts = [texts(one.infer_response) for one in answers]
    words = b"".join(one["text_output"][0] for one in parts[:-1])
    assert words == b"one two three"
    assert parts[-2]["finish_reason"] == [b"length"]
    assert parts[-1] == {}
    final = [one.infer_response.parameters["triton_final_response"].bool_param for one in answers]
    assert final == [False, False, False, False, True]
    assert {one.infer_response.id for one in answers} == {"p"}
    assert answers[0].infer_response.parameters["model"].string_param == "words"


async def test_a_part_without_what_was_wanted_is_not_sent(tmp_path: Path) -> None:
    """Who wants the text alone gets no message for the reason of its end."""
    sent = prompt("Count.", stream=True)
    sent.outputs.add(name="text_output")
    async with inferring(tmp_path) as agent:
        answers = [one.infer_response async for one in agent.ModelStreamInfer(told(sent))]
    assert [set(texts(one)) for one in answers] == [{"text_output"}] * 4


async def test_a_request_that_fails_leaves_the_stream_to_the_next(tmp_path: Path) -> None:
    """Its answer is the message of its failure; answers come in the order of the requests."""
    bad = request(" ", id="bad")
    async with inferring(tmp_path) as agent:
        answers = [
            one async for one in agent.ModelStreamInfer(told(bad, request("wax", id="good")))
        ]
    assert answers[0].error_message == "text 0 of input `text` has nothing in it"
    assert [one.infer_response.id for one in answers] == ["bad", "good"]
    assert answers[1].infer_response.outputs[0].name == "embedding"
    assert answers[1].infer_response.parameters["triton_final_response"].bool_param


async def test_a_model_that_breaks_off_is_told_in_its_words(tmp_path: Path) -> None:
    """What was delivered stays delivered, and the failure stands behind it."""
    async with inferring(tmp_path, talker=Talker(cut=grpc.StatusCode.ABORTED)) as agent:
        answers = [one async for one in agent.ModelStreamInfer(told(prompt("Go.", stream=True)))]
    assert texts(answers[0].infer_response)["text_output"] == [b"one "]
    assert answers[-1].error_message == "the answer was another one"


async def test_a_stream_goes_on_where_its_host_went_away(tmp_path: Path) -> None:
    """Behind the word that came last: the client sees one stream, with no gap and nothing twice."""
    talker = Talker(cut=grpc.StatusCode.UNAVAILABLE)
    async with inferring(tmp_path, talker=talker) as agent:
        answers = [one async for one in agent.ModelStreamInfer(told(prompt("Go.", stream=True)))]
    assert not any(one.error_message for one in answers)
    words = [texts(one.infer_response)["text_output"][0] for one in answers]
    assert words == [b"one ", b"two ", b"three", b""]
    assert [one.resume_token for one in talker.asked] == ["", "1"]


async def test_a_caller_that_leaves_takes_the_models_work_along(tmp_path: Path) -> None:
    """Cancelling the stream cancels the call behind it."""
    ended = asyncio.Event()

    class Endless(Talker):
        async def stream(self, request: object, context: object) -> AsyncIterator[object]:
            try:
                async for part in super().stream(request, context):
                    yield part
                await asyncio.Event().wait()
            finally:
                ended.set()

    async with inferring(tmp_path, talker=Endless()) as agent:
        call = agent.ModelStreamInfer(told(prompt("Go.", stream=True)))
        async for one in call:
            assert one.infer_response.outputs
            break
        call.cancel()
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_completion_goes_on_with_the_text(tmp_path: Path) -> None:
    """And repeats it before its own, where that is asked for."""
    talker = Talker()
    sent = pb.ModelInferRequest(model_name="talker/words")
    sent.inputs.add(name="text_input", datatype="BYTES", shape=[1])
    sent.inputs.add(name="exclude_input_in_output", datatype="BOOL", shape=[1])
    sent.raw_input_contents.extend([packed([b"Hello"]), b"\x00"])
    sent.parameters["task"].string_param = "completion"
    async with inferring(tmp_path, talker=talker) as agent:
        answer = await agent.ModelInfer(sent)
    assert answer.raw_output_contents[0] == packed([b"Hello!"])
    assert talker.asked[0].prompt == "Hello"


@pytest.mark.parametrize(
    ("sampling", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "is no JSON object"),
        ('{"beam": 2}', "has `beam`; it takes temperature"),
        ('{"max_tokens": 1.5}', "`max_tokens` of input `sampling_parameters` is a whole number"),
        ('{"temperature": true}', "is a number"),
        ('{"stop": 4}', "is a text or a list of them"),
        ('{"temperature": 9}', "sampling.temperature"),
        ('{"stop": "\\ud800"}', "half a character"),
        ('{"\\ud800": 1}', "half a character"),
        pytest.param("[" * 50_000, "nested deeper than 100 levels", id="deep"),
    ],
)
async def test_sampling_that_is_none_is_refused_in_words(
    tmp_path: Path, sampling: str, said: str
) -> None:
    """Before anything is asked of the model."""
    talker = Talker()
    async with inferring(tmp_path, talker=talker) as agent:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await agent.ModelInfer(prompt("Go.", sampling=sampling))
    assert said in failure_of(caught.value).message
    assert failure_of(caught.value).reason == "TENSOR_INVALID"
    assert not talker.asked
