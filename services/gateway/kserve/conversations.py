"""Models of tandem.models.v1.ModelService: a text in, its answer out, whole or as it is made. Names
of tensors are those of Triton's backends for language models.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final

from google.protobuf.message import Message

from services.gateway.kserve import sampling
from services.gateway.kserve.models import LISTING_S, Asked, Given, Model
from services.gateway.kserve.parameters import check_known, chosen, worded
from services.gateway.kserve.refusal import RIGHTS, bad_tensor
from services.gateway.kserve.tensors import ANY, BYTES, Form, Texts
from tandem.models.v1 import chat_pb2 as nouns
from tandem.models.v1 import model_pb2
from tandem.models.v1 import model_service_pb2 as pb
from tandem.models.v1 import model_service_pb2_grpc as rpc
from tandemkit.hosting import access
from tandemkit.rpc import validation
from tandemkit.rpc.remote import calling
from tandemkit.rpc.resuming import resuming

TEXT, STREAM, SAMPLING, ALONE = (
    "text_input",
    "stream",
    "sampling_parameters",
    "exclude_input_in_output",
)
OUTPUT, FINISH = "text_output", "finish_reason"
_PLATFORM: Final = "tandem_language_model"
_VERSION: Final = "1"
_TASK, _SYSTEM, _NAMESPACE = "task", "system", "namespace"
_TASKS: Final = {
    "chat": model_pb2.MODEL_FEATURE_CHAT,
    "completion": model_pb2.MODEL_FEATURE_COMPLETION,
}
_INPUTS: Final = (
    Form(TEXT, BYTES, (1,)),
    Form(STREAM, "BOOL", (1,), is_optional=True),
    Form(SAMPLING, BYTES, (1,), is_optional=True),
    Form(ALONE, "BOOL", (1,), is_optional=True),
)
_OUTPUTS: Final = (Form(OUTPUT, BYTES, (ANY,)), Form(FINISH, BYTES, (ANY,)))
_PAGE: Final = 1000


class Conversations:
    def __init__(self, service: rpc.ModelServiceAsyncStub) -> None:
        self._service = service

    async def models(self) -> Sequence[Model]:
        found: list[Model] = []
        request = pb.ListModelsRequest(page_size=_PAGE)
        while True:
            with calling():
                told = await self._service.ListModels(request, timeout=LISTING_S)
            found += (_shown(one.name) for one in told.models)
            if not told.next_page_token:
                return found
            request.page_token = told.next_page_token

    async def answer(self, asked: Asked) -> Given:
        is_chat = _is_chat(asked)
        method: Any = self._service.Chat if is_chat else self._service.Complete
        request = _request(asked, pb.ChatRequest() if is_chat else pb.CompleteRequest())
        how = asked.parameters
        with calling():
            made = await method(request, timeout=how.within_s, metadata=how.headers)
        said = made.message.content if is_chat else made.text
        return _given(_before(asked) + said, made.finish_reason, made.answerer)

    async def answers(self, asked: Asked) -> AsyncGenerator[Given, None]:
        if not any(asked.inputs.get(STREAM, ())):
            yield await self.answer(asked)
            return
        is_chat = _is_chat(asked)
        service = self._service
        method: Any = service.StreamChat if is_chat else service.StreamComplete
        made = pb.StreamChatRequest() if is_chat else pb.StreamCompleteRequest()
        request, how = _request(asked, made), asked.parameters
        before = _before(asked)
        parts = resuming(method, request, timeout=how.within_s, metadata=how.headers)
        with calling():
            async with aclosing(parts):
                async for part in parts:
                    answerer = part.answerer if part.HasField("answerer") else None
                    yield _given(before + part.text, part.finish_reason, answerer)
                    before = ""

    async def load(self, model: Model) -> None:
        """Where a model is, and when it is in memory, is its server's to say."""


def _shown(name: str) -> Model:
    return Model(name, _VERSION, _PLATFORM, _INPUTS, _OUTPUTS, is_decoupled=True)


def _is_chat(asked: Asked) -> bool:
    own = asked.parameters.own
    check_known(own, (_TASK, _SYSTEM, _NAMESPACE))
    is_chat = chosen(own, _TASK, _TASKS) != model_pb2.MODEL_FEATURE_COMPLETION
    if not is_chat:
        check_known(own, (_TASK,))
    return is_chat


def _request(asked: Asked, request: Any) -> Message:
    """Filled, and within its contract: the refusal of the agent would not say which of our inputs
    it is about. The agent is asked in our name, so our caller's right is looked at here.
    """
    access.check(worded(asked.parameters.own, _NAMESPACE), access.Right.READ, RIGHTS)
    prompt, own = _decoded(asked.inputs[TEXT][0], TEXT), asked.parameters.own
    request.model = asked.model.name
    if given := asked.inputs.get(SAMPLING):
        request.sampling.CopyFrom(sampling.read(_decoded(given[0], SAMPLING), SAMPLING))
    if isinstance(request, pb.CompleteRequest | pb.StreamCompleteRequest):
        request.prompt = prompt
    else:
        if _SYSTEM in own:
            request.messages.add(role=nouns.CHAT_ROLE_SYSTEM, content=worded(own, _SYSTEM))
        request.namespace = worded(own, _NAMESPACE)
        request.messages.add(role=nouns.CHAT_ROLE_USER, content=prompt)
    for broken in validation.violations(request):
        raise bad_tensor(f"what is asked cannot be: {broken.field} {broken.description}", TEXT)
    made: Message = request
    return made


def _before(asked: Asked) -> str:
    """What the answer begins with: the text that was sent, where that was asked for."""
    is_alone = all(asked.inputs.get(ALONE, (True,)))
    return "" if is_alone else _decoded(asked.inputs[TEXT][0], TEXT)


def _given(
    said: str, finish: nouns.FinishReason.ValueType, answerer: nouns.Answerer | None
) -> Given:
    outputs = {OUTPUT: Texts([said])}
    if finish:
        word = nouns.FinishReason.Name(finish).removeprefix("FINISH_REASON_").lower()
        outputs[FINISH] = Texts([word])
    return Given(outputs, _VERSION, parameters=_who(answerer) if answerer else None)


def _who(answerer: nouns.Answerer) -> dict[str, str | bool]:
    return {
        "backend": answerer.backend,
        "model": answerer.model,
        "is_generative": answerer.is_generative,
        "is_fallback": answerer.is_fallback,
    }


def _decoded(sent: bytes, name: str) -> str:
    try:
        return sent.decode()
    except UnicodeDecodeError as error:
        raise bad_tensor(f"input `{name}` is no UTF-8", name) from error
