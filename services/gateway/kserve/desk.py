"""Requests to answers: read, asked of who has the model, written, and counted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from inference import grpc_inference_service_pb2 as pb
from services.gateway.kserve import parameters, tensors
from services.gateway.kserve.ledger import Ledger
from services.gateway.kserve.models import Asked, Given, Model
from services.gateway.kserve.repository import Repository
from tandemkit.core.clock import Clock

FINAL = "triton_final_response"


@dataclass(frozen=True, slots=True)
class Form:
    """What a request wants of its answers."""

    request: pb.ModelInferRequest
    outputs: tuple[str, ...]
    is_raw: bool

    def response(self, given: Given, extra: Mapping[str, bool]) -> pb.ModelInferResponse:
        made = self.empty(given.version, {**(given.parameters or {}), **extra})
        outputs = {name: given.outputs[name] for name in self.outputs if name in given.outputs}
        return tensors.write(made, outputs, raw=self.is_raw)

    def has(self, given: Given) -> bool:
        """Whether anything of it is wanted."""
        return any(name in given.outputs for name in self.outputs)

    def empty(self, version: str, extra: Mapping[str, str | bool]) -> pb.ModelInferResponse:
        """One without outputs."""
        made = pb.ModelInferResponse(
            model_name=self.request.model_name, model_version=version, id=self.request.id
        )
        for name, value in extra.items():
            if isinstance(value, bool):
                made.parameters[name].bool_param = value
            else:
                made.parameters[name].string_param = value
        return made


class Desk:
    """Its methods raise CallerError, TransientError, and CallFailed in the agent's words."""

    def __init__(self, repository: Repository, ledger: Ledger, clock: Clock) -> None:
        self._repository, self._ledger, self._clock = repository, ledger, clock

    async def infer(self, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        entry = await self._repository.usable(request.model_name, request.model_version)
        account = self._ledger.account(entry.model.name, entry.model.version)
        with account.counting(self._now_ms()) as laps:
            asked, form = _read(request, entry.model)
            read_s = laps.lap()
            given = await entry.source.answer(asked)
            answered_s = laps.lap()
            response = form.response(given, {})
            account.add(given.items, (read_s, answered_s, laps.lap()))
        return response

    async def stream(
        self, request: pb.ModelInferRequest
    ) -> AsyncGenerator[pb.ModelInferResponse, None]:
        """Each with whether it is the last, where that is known."""
        entry = await self._repository.usable(request.model_name, request.model_version)
        model = entry.model
        account = self._ledger.account(model.name, model.version)
        with account.counting(self._now_ms()) as laps:
            asked, form = _read(request, model)
            read_s, items, version = laps.lap(), 0, model.version
            async with aclosing(entry.source.answers(asked)) as answers:
                async for given in answers:
                    items, version = max(items, given.items), given.version
                    if form.has(given):
                        yield form.response(given, {FINAL: not model.is_decoupled})
            account.add(items, (read_s, laps.lap(), 0.0))
        if model.is_decoupled and asked.parameters.ends_empty:
            yield form.empty(version, {FINAL: True})

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def _read(request: pb.ModelInferRequest, model: Model) -> tuple[Asked, Form]:
    inputs = tensors.read(request, model.inputs)
    outputs = tensors.wanted(request, model.outputs)
    asked = Asked(model, inputs, parameters.read(request.parameters))
    return asked, Form(request, outputs, tensors.is_raw(request))
