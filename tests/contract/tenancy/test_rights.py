"""Nobody gets by an RPC what no rule gives: every method of every agent that asks who calls is
tried by somebody without rights. An agent that forgets to ask in one of them fails here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from services.memory.namespace.agent import AGENT as NAMESPACE
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.memory.v1 import namespace_pb2 as nouns
from tandemkit.hosting.agent import Agent
from tandemkit.rpc import validation
from tandemkit.rpc.callers import HEADER
from tandemkit.rpc.contract import Method
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.testing.agents import fake_agent, serving
from tests.contract.tenancy.asking import AGENTS, SETTINGS
from tests.contract.tenancy.examples import example, names_a_namespace

NOBODY = ((HEADER, "callers/nobody"),)
# Of all namespaces: each caller is told of what he may see, here of nothing.
_OF_WHAT_ONE_MAY_SEE = {
    # Of the request's own words alone.
    "/tandem.language.v1.RequestCoordinatorService/Classify",
    "/tandem.memory.v1.EmbeddingService/EmbedTexts",
    # Names of models, which are nobody's secret.
    "/tandem.memory.v1.EmbeddingService/ListEmbeddingModels",
    "/tandem.models.v1.ModelService/ListModels",
    "/inference.GRPCInferenceService/RepositoryIndex",
    # By what the model is, each request for itself: tests/unit/services/gateway/kserve.
    "/inference.GRPCInferenceService/ModelInfer",
    "/inference.GRPCInferenceService/ModelStreamInfer",
    "/tandem.memory.v1.MemoryClientService/GetJournal",
    "/tandem.memory.v1.MemoryClientService/ResolveJournalEntry",
    "/tandem.memory.v1.MemoryClientService/WatchJournal",
    "/tandem.memory.v1.NamespaceService/ListNamespaces",
}

# The second one is what everybody is told.
_REFUSALS = {"NAMESPACE_FORBIDDEN", "INFERENCE_FEATURE_UNSUPPORTED"}
# Rules that span fields are kept by hand.
_MORE: dict[str, dict[str, Any]] = {
    "DeleteSubject": {"subject": "ada"},
    "ExportSubject": {"subject": "ada"},
    "ForgetSubject": {"subject": "ada"},
    "DeleteVectors": {"ids": ["a"]},
}


def _request(method: Method) -> Message:
    request: Message = example(method.request, "secret")
    request.MergeFrom(method.request(**_MORE.get(method.name, {})))
    broken = [f"{one.field}: {one.description}" for one in validation.violations(request)]
    assert not broken, f"{method.path}: give it an example that keeps {broken}"
    return request


@asynccontextmanager
async def _asked(agent: Agent, folder: Path) -> AsyncIterator[grpc.aio.Channel]:
    beside = [fake_agent(registry.DESCRIPTOR)] if agent is NAMESPACE else []
    settings = SETTINGS.get(agent.name)
    async with serving(agent, settings=settings, beside=beside, state_dir=folder) as channel:
        yield channel


async def _outcome(channel: grpc.aio.Channel, method: Method, metadata: Any) -> str:
    """The reason why not; `OK` where it was answered, be it with nothing."""
    codecs = method.request.SerializeToString, method.response.FromString
    request = _request(method)
    try:
        if method.server_streaming:
            stream: Any = channel.unary_stream(method.path, *codecs)
            await stream(request, timeout=5, metadata=metadata).read()
        else:
            unary: Any = channel.unary_unary(method.path, *codecs)
            await unary(request, timeout=5, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return RemoteFailure.of(error).reason or error.code().name
    return "OK"


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
async def test_no_rpc_answers_a_caller_without_rights(agent: Agent, tmp_path: Path) -> None:
    """Neither with what there is, nor with whether it is there."""
    assert all(method.asks_caller for method in agent.promise.methods)
    async with _asked(agent, tmp_path) as channel:
        outcomes = {
            method.name: await _outcome(channel, method, NOBODY)
            for method in agent.promise.methods
            if not (method.path in _OF_WHAT_ONE_MAY_SEE or method.public or _hides(method))
        }
    answered = {name: one for name, one in outcomes.items() if one not in _REFUSALS}
    assert answered == {}


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
async def test_the_same_requests_are_no_others_business(agent: Agent, tmp_path: Path) -> None:
    """The control: the operator is refused none of them for want of a right."""
    async with _asked(agent, tmp_path) as channel:
        for method in agent.promise.methods:
            if names_a_namespace(method.request) and not method.client_streaming:
                assert await _outcome(channel, method, ()) != "NAMESPACE_FORBIDDEN"


def _hides(method: Method) -> bool:
    """A thing that is not there has no namespace yet to ask for: NOT_FOUND says as little."""
    return "name" in method.request.DESCRIPTOR.fields_by_name and not (
        names_a_namespace(method.request)
    )


def test_a_right_includes_those_before_it() -> None:
    """By their numbers, as agents compare them."""
    order = [nouns.RIGHT_UNSPECIFIED, nouns.RIGHT_READ, nouns.RIGHT_WRITE, nouns.RIGHT_OWN]
    assert order == sorted(order)
