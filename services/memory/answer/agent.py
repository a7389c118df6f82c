"""Answers questions from documents and memories, with citations. Contract:
tandem.memory.v1.AnswerService.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import grpc
from google.protobuf.message import Message

from services.memory.answer.context import Packer
from services.memory.answer.evidence import Sources
from services.memory.answer.servicer import Answers
from services.memory.answer.writing import writer
from tandem.memory.config.v1 import answer_pb2 as cfg
from tandem.memory.v1 import answer_service_pb2 as pb
from tandem.memory.v1 import context_assembler_service_pb2 as assembling
from tandem.memory.v1 import context_assembler_service_pb2_grpc as assembling_rpc
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.memory.v1 import knowledge_base_service_pb2_grpc as knowledge_rpc
from tandem.memory.v1 import memory_orchestrator_service_pb2 as memory
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as memory_rpc
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.reach.failure import Unreachable

Answer = TypeVar("Answer")


@asynccontextmanager
async def build(scope: Scope, settings: cfg.AnswerSettings) -> AsyncIterator[Answers]:
    documents = scope.stub(knowledge_rpc.KnowledgeBaseServiceStub)
    memories = scope.stub(memory_rpc.MemoryOrchestratorServiceStub)
    packer = Packer(scope.stub(assembling_rpc.ContextAssemblerServiceStub))
    sources = Sources(_asking(documents.SearchKnowledge), _asking(memories.SearchMemories))
    async with writer(scope, settings) as found:
        yield Answers(sources, packer, found)


def _asking(
    method: Callable[..., Awaitable[Answer]],
) -> Callable[[Message, float], Awaitable[Answer]]:
    async def ask(request: Message, within_s: float) -> Answer:
        try:
            return await method(request, timeout=within_s)
        except grpc.aio.AioRpcError as error:
            code, said = error.code().name, error.details() or ""
            raise Unreachable("it gave no answer", code=code, said=said) from error

    return ask


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.AnswerSettings,
    calls=(assembling.DESCRIPTOR,),
    soft_calls=(knowledge.DESCRIPTOR, memory.DESCRIPTOR),
    build=build,
)
main = AGENT.main
