"""Answers questions from documents and memories, with citations. Contract:
tandem.memory.v1.AnswerService.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.memory.answer.context import Packer
from services.memory.answer.evidence import Sources
from services.memory.answer.servicer import Answers
from services.memory.answer.writing import Writer
from tandem.memory.config.v1 import answer_pb2 as cfg
from tandem.memory.v1 import answer_service_pb2 as pb
from tandem.memory.v1 import context_assembler_service_pb2 as assembling
from tandem.memory.v1 import context_assembler_service_pb2_grpc as assembling_rpc
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.memory.v1 import knowledge_base_service_pb2_grpc as knowledge_rpc
from tandem.memory.v1 import memory_orchestrator_service_pb2 as memory
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as memory_rpc
from tandem.models.v1 import model_service_pb2 as models_pb
from tandem.models.v1 import model_service_pb2_grpc as models_rpc
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope


@asynccontextmanager
async def build(scope: Scope, settings: cfg.AnswerSettings) -> AsyncIterator[Answers]:
    documents = scope.stub(knowledge_rpc.KnowledgeBaseServiceStub)
    memories = scope.stub(memory_rpc.MemoryOrchestratorServiceStub)
    packer = Packer(scope.stub(assembling_rpc.ContextAssemblerServiceStub))
    models = scope.stub(models_rpc.ModelServiceStub)
    writer = Writer(settings.writer, models) if settings.HasField("writer") else None
    yield Answers(Sources(documents, memories), packer, writer)


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.AnswerSettings,
    calls=(assembling.DESCRIPTOR,),
    soft_calls=(knowledge.DESCRIPTOR, memory.DESCRIPTOR, models_pb.DESCRIPTOR),
    build=build,
)
main = AGENT.main
