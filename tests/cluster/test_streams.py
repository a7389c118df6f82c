"""Streams of tokens whose serving process is killed in their midst, over each face that has
them.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import grpc
import pytest

from inference import grpc_inference_service_pb2 as inference
from inference import grpc_inference_service_pb2_grpc as inference_rpc
from services.memory.knowledge_base.agent import AGENT as KNOWLEDGE
from tandem.models.v1 import chat_pb2 as nouns
from tandem.models.v1 import model_service_pb2 as models
from tandem.models.v1 import model_service_pb2_grpc as models_rpc
from tandemkit.rpc.resuming import resuming
from tandemkit.testing.model_servers import ModelServer, model_server
from tests.cluster.eventually import eventually
from tests.cluster.gateway_fleet import MODEL_NAME, GatewayFleet, gateway_fleet

pytestmark = pytest.mark.cluster

_EACH = 5
_ASKED = "Tell of the mill."
_QUOTES = "extractive/quotes"
_QUESTION = "How is a leak of the pump closed?"
_DOCUMENT = b"# Pumps\n\nA leak of the pump is closed with wax, and looked at again in spring.\n"
Stream = Callable[[], AsyncIterator[str]]


class Faces:
    """Each yields the text of one stream, piece by piece."""

    def __init__(
        self, fleet: GatewayFleet, session: aiohttp.ClientSession, wires: tuple[Any, Any]
    ) -> None:
        self._fleet, self._session = fleet, session
        self._models: Any = models_rpc.ModelServiceStub(wires[0])
        self._kserve: Any = inference_rpc.GRPCInferenceServiceStub(wires[1])
        self._shown = (("authorization", f"Bearer {fleet.token}"),)

    async def grpc(self) -> AsyncIterator[str]:
        message = nouns.ChatMessage(role=nouns.CHAT_ROLE_USER, content=_ASKED)
        request = models.StreamChatRequest(model=MODEL_NAME, messages=[message])
        request.sampling.seed = 7
        async for part in resuming(self._models.StreamChat, request, metadata=self._shown):
            yield part.text

    async def rest(self) -> AsyncIterator[str]:
        messages = [{"role": "CHAT_ROLE_USER", "content": _ASKED}]
        body = {"model": MODEL_NAME, "messages": messages, "sampling": {"seed": 7}}
        async for told in self._events("/api/models-model/StreamChat", body):
            yield told.get("text", "")

    async def openai(self) -> AsyncIterator[str]:
        messages = [{"role": "user", "content": _ASKED}]
        body = {"model": MODEL_NAME, "messages": messages, "seed": 7, "stream": True}
        async for told in self._events("/v1/chat/completions", body):
            for choice in told["choices"]:
                yield choice["delta"].get("content") or ""

    async def kserve(self) -> AsyncIterator[str]:
        request = inference.ModelInferRequest(model_name=MODEL_NAME)
        tensor = request.inputs.add(name="text_input", datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(_ASKED.encode())
        tensor = request.inputs.add(name="stream", datatype="BOOL", shape=[1])
        tensor.contents.bool_contents.append(True)
        tensor = request.inputs.add(name="sampling_parameters", datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(b'{"seed": 7}')
        requests = iter([request])
        async for told in self._kserve.ModelStreamInfer(requests, metadata=self._shown):
            assert not told.error_message, told.error_message
            for output in told.infer_response.outputs:
                if output.name == "text_output":
                    yield output.contents.bytes_contents[0].decode()

    async def quotes(self, token: str = "") -> AsyncIterator[models.StreamChatResponse]:
        """Of the document, behind the token."""
        message = nouns.ChatMessage(role=nouns.CHAT_ROLE_USER, content=_QUESTION)
        request = models.StreamChatRequest(model=_QUOTES, messages=[message], resume_token=token)
        call = self._models.StreamChat(request, metadata=self._shown, wait_for_ready=True)
        try:
            async for part in call:
                yield part
        finally:
            call.cancel()

    async def _events(self, path: str, body: object) -> AsyncIterator[Any]:
        headers = {"authorization": f"Bearer {self._fleet.token}"}
        url = f"{self._fleet.url}{path}"
        async with self._session.post(url, json=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                said = line.removeprefix(b"data:").strip()
                if line.startswith(b"data:") and said not in {b"[DONE]", b"{}"}:
                    yield json.loads(said)


@asynccontextmanager
async def faces(fleet: GatewayFleet) -> AsyncIterator[Faces]:
    async with (
        aiohttp.ClientSession() as session,
        grpc.aio.insecure_channel(await fleet.address("models")) as to_models,
        grpc.aio.insecure_channel(await fleet.address("gateway")) as to_gateway,
    ):
        yield Faces(fleet, session, (to_models, to_gateway))


class Told:
    """What one stream has said so far."""

    def __init__(self) -> None:
        self.text = ""

    async def read(self, stream: Stream) -> None:
        async for piece in stream():
            self.text += piece


async def test_streams_survive_the_kill_of_the_host_that_serves_them() -> None:
    """Twenty of them, five over each face, are whole, and the same as one that nobody disturbed;
    quotes, which are told faster than anybody is killed, go on at the next process too.
    """
    backend = ModelServer()
    async with (
        model_server(backend),
        gateway_fleet(backend, KNOWLEDGE) as fleet,
        faces(fleet) as it,
    ):
        known = {"gRPC": it.grpc, "REST": it.rest, "OpenAI": it.openai, "KServe": it.kserve}
        await _ingest(fleet)
        quoted = [part async for part in it.quotes()]
        assert (quoted[0].answerer.backend, len(quoted) > 5) == ("extractive", True)
        wanted = {name: "".join([one async for one in stream()]) for name, stream in known.items()}
        assert len(set(wanted.values())) == 1
        backend.gate = gate = asyncio.Event()
        begun = backend.begun
        served_by = fleet.checkout.pids()["models"]
        streams = [stream for stream in known.values() for _ in range(_EACH)]
        told = [Told() for _ in streams]

        async def kill_in_their_midst() -> None:
            await backend.until(lambda it: it.begun == begun + len(streams))
            await eventually(_holds(lambda: all(one.text for one in told)))
            assert all(one.text != wanted["gRPC"] for one in told)
            fleet.checkout.kill("models")
            gate.set()

        reading = [one.read(stream) for one, stream in zip(told, streams, strict=True)]
        await asyncio.gather(kill_in_their_midst(), *reading)
        assert fleet.checkout.pids()["models"] != served_by
        assert [one.text for one in told] == [wanted["gRPC"]] * len(streams)
        rest = [part async for part in it.quotes(quoted[2].resume_token)]
        assert [one.text for one in rest] == [one.text for one in quoted[3:]]
        assert rest[-1].sources == quoted[-1].sources


async def _ingest(fleet: GatewayFleet) -> None:
    document = {"uri": "mill.md", "content": base64.b64encode(_DOCUMENT).decode()}
    request = json.dumps({"documents": {"documents": [document]}})
    done = await fleet.checkout.tandem("call", "KnowledgeBase/IngestDocuments", request)
    assert done.returncode == 0, done.stderr


def _holds(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return condition()

    return look
