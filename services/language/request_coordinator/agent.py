"""Answers requests in people's own words. Contract:
tandem.language.v1.RequestCoordinatorService.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.language.request_coordinator.coordinator import Coordinator, Desks
from services.language.request_coordinator.dialogue import Dialogue
from services.language.request_coordinator.fleet import Fleet
from services.language.request_coordinator.knowledge import Knowledge
from services.language.request_coordinator.language_model import LanguageModel
from services.language.request_coordinator.memories import Memories
from services.language.request_coordinator.models import Models
from services.language.request_coordinator.servicer import RequestCoordinator
from services.language.request_coordinator.tool import Tool
from services.language.request_coordinator.writing import Writer
from tandem.control.v1 import fleet_status_service_pb2 as status
from tandem.control.v1 import fleet_status_service_pb2_grpc as status_rpc
from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandem.memory.v1 import answer_service_pb2 as answering
from tandem.memory.v1 import answer_service_pb2_grpc as answering_rpc
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.memory.v1 import knowledge_base_service_pb2_grpc as knowledge_rpc
from tandem.memory.v1 import memory_orchestrator_service_pb2 as memory
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as memory_rpc
from tandem.memory.v1 import session_memory_service_pb2 as sessions
from tandem.memory.v1 import session_memory_service_pb2_grpc as sessions_rpc
from tandem.models.v1 import model_service_pb2 as models
from tandem.models.v1 import model_service_pb2_grpc as models_rpc
from tandem.utility.v1 import toolbox_service_pb2 as toolbox
from tandem.utility.v1 import toolbox_service_pb2_grpc as toolbox_rpc
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope


@asynccontextmanager
async def build(scope: Scope, _settings: None) -> AsyncIterator[RequestCoordinator]:
    language_models = Models(scope.stub(models_rpc.ModelServiceStub))
    documents = Knowledge(
        scope.stub(knowledge_rpc.KnowledgeBaseServiceStub),
        scope.stub(answering_rpc.AnswerServiceStub),
        Writer(language_models),
    )
    memories = Memories(scope.stub(memory_rpc.MemoryOrchestratorServiceStub), documents)
    desks: Desks = {
        nouns.ROUTE_KNOWLEDGE: documents,
        nouns.ROUTE_MEMORY: memories,
        nouns.ROUTE_CHAT: LanguageModel(language_models, documents),
        nouns.ROUTE_TOOL: Tool(scope.stub(toolbox_rpc.ToolboxServiceStub), scope.clock),
        nouns.ROUTE_FLEET: Fleet(scope.stub(status_rpc.FleetStatusServiceStub)),
    }
    dialogue = Dialogue(scope.stub(sessions_rpc.SessionMemoryServiceStub))
    yield RequestCoordinator(Coordinator(desks, dialogue))


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    soft_calls=(
        answering.DESCRIPTOR,
        knowledge.DESCRIPTOR,
        memory.DESCRIPTOR,
        models.DESCRIPTOR,
        sessions.DESCRIPTOR,
        status.DESCRIPTOR,
        toolbox.DESCRIPTOR,
    ),
    build=build,
)
main = AGENT.main
