"""Ways to say something to an agent, each in the words of its own protocol, and what comes back in
the words of gRPC.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import grpc

from inference import grpc_inference_service_pb2 as inference
from inference import grpc_inference_service_pb2_grpc as inference_rpc
from services.gateway.kserve.agent import AGENT as KSERVE
from tandem.models.v1 import chat_pb2 as nouns
from tandem.models.v1 import model_service_pb2 as models
from tandem.models.v1 import model_service_pb2_grpc as models_rpc
from tandem.utility.v1 import text_pb2 as texts
from tandem.utility.v1 import toolbox_service_pb2 as toolbox
from tandem.utility.v1 import toolbox_service_pb2_grpc as toolbox_rpc
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.testing import probe
from tandemkit.testing.agents import fake_agent
from tests.contract.faces.script import MODEL, Script
from tests.unit.services.gateway.http.gateways import Gateway, gateway

FOREVER_S = 30.0
_TIMEOUT = "x-tandem-timeout"


@dataclass(frozen=True)
class Outcome:
    """`code` is the name of gRPC's. What a face does not tell is None."""

    code: str = "OK"
    text: str = ""
    reason: str | None = ""
    domain: str | None = ""
    message: str = ""
    metadata: Mapping[str, str] | None = field(default_factory=dict)
    retry_after_s: float | None = None

    @classmethod
    def of(cls, found: RemoteFailure) -> Outcome:
        told = found.metadata
        reason, domain, wait_s = found.reason, found.domain, found.retry_after_s
        return cls(found.code.name, "", reason, domain, found.message, told, wait_s)


class Face(Protocol):
    """`bearer` is what the caller shows."""

    name: str

    async def say(self, text: str, *, within_s: float = FOREVER_S, bearer: str = "") -> Outcome:
        """How the call of the text ended."""


class OverGrpc:
    """A stock channel to the agent's host."""

    name = "gRPC"

    def __init__(self, it: Gateway) -> None:
        self._it = it
        self._stub: Any = toolbox_rpc.ToolboxServiceStub(it.channel)

    async def say(self, text: str, *, within_s: float = FOREVER_S, bearer: str = "") -> Outcome:
        shown = (("authorization", bearer),) if bearer else ()
        request = texts.NormalizeTextRequest(text=text)
        return await _called(self._stub.NormalizeText(request, timeout=within_s, metadata=shown))


class ModelsOverGrpc:
    """The same, for the agent of models."""

    name = "gRPC, models"

    def __init__(self, it: Gateway) -> None:
        self._stub: Any = models_rpc.ModelServiceStub(it.channel)

    async def say(self, text: str, *, within_s: float = FOREVER_S, bearer: str = "") -> Outcome:
        shown = (("authorization", bearer),) if bearer else ()
        message = nouns.ChatMessage(role=nouns.CHAT_ROLE_USER, content=text)
        request = models.ChatRequest(model=MODEL, messages=[message])
        return await _called(self._stub.Chat(request, timeout=within_s, metadata=shown))


class InProcess:
    """Another agent of the same host, which needs to show nothing."""

    name = "in-process"

    def __init__(self) -> None:
        self._stub: Any = None

    @property
    def agent(self) -> Agent:
        beside = fake_agent(probe.DESCRIPTOR)

        @asynccontextmanager
        async def build(scope: Scope, _settings: None) -> AsyncIterator[object]:
            self._stub = scope.stub(toolbox_rpc.ToolboxServiceStub)
            async with beside.build(scope, None) as servicer:
                yield servicer

        return replace(beside, soft_calls=(toolbox.DESCRIPTOR,), build=build)

    async def say(self, text: str, *, within_s: float = FOREVER_S, bearer: str = "") -> Outcome:
        request = texts.NormalizeTextRequest(text=text)
        return await _called(self._stub.NormalizeText(request, timeout=within_s))


class OverHttp:
    """What the faces of the HTTP port share."""

    name = ""
    _path = ""

    def __init__(self, it: Gateway) -> None:
        self._it = it

    async def say(self, text: str, *, within_s: float = FOREVER_S, bearer: str = "") -> Outcome:
        headers = {_TIMEOUT: f"{within_s}s", "authorization": bearer, **self._headers()}
        url = f"{self._it.url}{self._path}"
        async with self._it.client.post(url, json=self._body(text), headers=headers) as told:
            # Events end with the answer.
            *_, last = (await told.text()).split("\ndata: ")
            return self._read(told.status, json.loads(last), told.headers)

    def _headers(self) -> dict[str, str]:
        return {}

    def _body(self, text: str) -> object:
        raise NotImplementedError

    def _read(self, status: int, told: Any, headers: Mapping[str, str]) -> Outcome:
        raise NotImplementedError


class OverRest(OverHttp):
    name = "REST"
    _path = "/api/utility-toolbox/NormalizeText"

    def _body(self, text: str) -> object:
        return {"text": text}

    def _read(self, status: int, told: Any, headers: Mapping[str, str]) -> Outcome:
        if status == 200:
            return Outcome(text=told.get("text", ""))
        return _problem(told)


class OverOpenai(OverHttp):
    name = "OpenAI"
    _path = "/v1/chat/completions"

    def _body(self, text: str) -> object:
        return {"model": MODEL, "messages": [{"role": "user", "content": text}]}

    def _read(self, status: int, told: Any, headers: Mapping[str, str]) -> Outcome:
        if status == 200:
            return Outcome(text=told["choices"][0]["message"]["content"])
        error = told["error"]
        wait_ms = headers.get("retry-after-ms")
        return Outcome(
            _TYPES.get(error["type"], error["type"]),
            "",
            error.get("reason", ""),
            error.get("domain", ""),
            error["message"],
            None,
            float(wait_ms) / 1000 if wait_ms else None,
        )


class OverMcp(OverHttp):
    """A tool, asked without a session."""

    name = "MCP"
    _path = "/mcp"
    _tool = "utility-toolbox_NormalizeText"

    def _headers(self) -> dict[str, str]:
        return {"accept": "application/json, text/event-stream"}

    def _body(self, text: str) -> object:
        params = {"name": self._tool, "arguments": {"text": text}}
        return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}

    def _read(self, status: int, told: Any, headers: Mapping[str, str]) -> Outcome:
        if "result" not in told:
            return _problem(told["error"].get("data", told["error"]))
        result = told["result"]
        if not result["isError"]:
            return Outcome(text=result["structuredContent"].get("text", ""))
        return _problem(result["_meta"]["tandem/error"])


class OverKserve:
    """The model of that name, by gRPC."""

    name = "KServe"

    def __init__(self, it: Gateway) -> None:
        self._stub: Any = inference_rpc.GRPCInferenceServiceStub(it.channel)

    async def say(self, text: str, *, within_s: float = FOREVER_S, bearer: str = "") -> Outcome:
        shown = (("authorization", bearer),) if bearer else ()
        request = inference.ModelInferRequest(model_name=MODEL)
        tensor = request.inputs.add(name="text_input", datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(text.encode())
        call = self._stub.ModelInfer(request, timeout=within_s, metadata=shown)
        return await _called(call)


@asynccontextmanager
async def faces(folder: Path, script: Script) -> AsyncIterator[tuple[Gateway, dict[str, Face]]]:
    """All of them, to the same agents."""
    inside = InProcess()
    async with gateway(folder, *script.agents, KSERVE, inside.agent) as it:
        there: tuple[Face, ...] = (
            OverGrpc(it),
            ModelsOverGrpc(it),
            inside,
            OverRest(it),
            OverOpenai(it),
            OverMcp(it),
            OverKserve(it),
        )
        yield it, {one.name: one for one in there}


# OpenAI's clients know fewer kinds of failures; the page of that face has the table.
_TYPES = {
    "invalid_request_error": "INVALID_ARGUMENT",
    "authentication_error": "UNAUTHENTICATED",
    "permission_error": "PERMISSION_DENIED",
    "not_found_error": "NOT_FOUND",
    "conflict_error": "ABORTED",
    "failed_precondition_error": "FAILED_PRECONDITION",
    "rate_limit_error": "RESOURCE_EXHAUSTED",
    "not_implemented_error": "UNIMPLEMENTED",
    "unavailable_error": "UNAVAILABLE",
    "timeout_error": "DEADLINE_EXCEEDED",
    "server_error": "INTERNAL",
}


async def _called(call: Any) -> Outcome:
    try:
        told = await call
    except grpc.aio.AioRpcError as error:
        return Outcome.of(RemoteFailure.of(error))
    if isinstance(told, texts.NormalizeTextResponse):
        return Outcome(text=told.text)
    if isinstance(told, models.ChatResponse):
        return Outcome(text=told.message.content)
    (given,) = (one for one in told.outputs if one.name == "text_output")
    return Outcome(text=given.contents.bytes_contents[0].decode())


def _problem(told: Any) -> Outcome:
    """As REST and MCP tell it."""
    after = told.get("retryAfter")
    return Outcome(
        told["code"],
        "",
        told.get("reason", ""),
        told.get("domain", ""),
        told.get("message", told.get("detail", "")),
        told.get("metadata", {}),
        float(after.removesuffix("s")) if after else None,
    )
