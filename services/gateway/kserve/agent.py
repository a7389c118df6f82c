"""The fleet's models for clients of KServe and Triton. Contract: inference.GRPCInferenceService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from inference import grpc_inference_service_pb2 as pb
from services.gateway.kserve.conversations import Conversations
from services.gateway.kserve.desk import Desk
from services.gateway.kserve.embeddings import Embeddings
from services.gateway.kserve.ledger import Ledger
from services.gateway.kserve.models import Source
from services.gateway.kserve.repository import Repository
from services.gateway.kserve.servicer import Kserve
from tandem.memory.v1 import embedding_service_pb2 as embedding
from tandem.memory.v1 import embedding_service_pb2_grpc as embedding_rpc
from tandem.models.v1 import model_service_pb2 as generating
from tandem.models.v1 import model_service_pb2_grpc as generating_rpc
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope


@asynccontextmanager
async def build(scope: Scope, _settings: None) -> AsyncIterator[Kserve]:
    sources: dict[str, Source] = {
        "memory-embedding": Embeddings(scope.stub(embedding_rpc.EmbeddingServiceStub)),
        "models-model": Conversations(scope.stub(generating_rpc.ModelServiceStub)),
    }
    repository, ledger = Repository(sources, scope.clock), Ledger()
    yield Kserve(repository, Desk(repository, ledger, scope.clock), ledger)


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    soft_calls=(embedding.DESCRIPTOR, generating.DESCRIPTOR),
    build=build,
)
main = AGENT.main
