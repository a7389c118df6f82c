"""Answers by language models, or in quotes where there is none. Contract:
tandem.models.v1.ModelService.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from services.models.model.backends import catalog
from services.models.model.figures import families
from services.models.model.quoting import Documents, quoting
from services.models.model.servicer import Models
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.memory.v1 import knowledge_base_service_pb2_grpc as knowledge_rpc
from tandem.models.config.v1 import model_pb2 as cfg
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.reach.failure import Unreachable


@asynccontextmanager
async def build(scope: Scope, settings: cfg.ModelSettings) -> AsyncIterator[Models]:
    documents = scope.stub(knowledge_rpc.KnowledgeBaseServiceStub)
    async with catalog(settings, scope, quoting(_asking(documents))) as found:
        scope.measure(lambda: families(found.places.values()))
        yield Models(found, scope.clock)


def _asking(documents: knowledge_rpc.KnowledgeBaseServiceAsyncStub) -> Documents:
    async def ask(request: knowledge.AskRequest) -> knowledge.AskResponse:
        try:
            return await documents.Ask(request)
        except grpc.aio.AioRpcError as error:
            message = "no language model is to be asked, and the knowledge base does not answer"
            code, said = error.code().name, error.details() or ""
            raise Unreachable(message, code=code, said=said) from error

    return ask


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.ModelSettings,
    soft_calls=(knowledge.DESCRIPTOR,),
    build=build,
)
main = AGENT.main
