"""The agents that ask who calls, and how they are built where they stand alone."""

from __future__ import annotations

from services.gateway.kserve.agent import AGENT as KSERVE
from services.language.request_coordinator.agent import AGENT as REQUEST_COORDINATOR
from services.memory.answer.agent import AGENT as ANSWER
from services.memory.cache.agent import AGENT as CACHE
from services.memory.embedding.agent import AGENT as EMBEDDING
from services.memory.knowledge_base.agent import AGENT as KNOWLEDGE_BASE
from services.memory.memory_client.agent import AGENT as MEMORY_CLIENT
from services.memory.memory_orchestrator.agent import AGENT as MEMORY_ORCHESTRATOR
from services.memory.namespace.agent import AGENT as NAMESPACE
from services.memory.session_memory.agent import AGENT as SESSION_MEMORY
from services.memory.vector_federation.agent import AGENT as VECTOR_FEDERATION
from services.memory.vector_store.agent import AGENT as VECTOR_STORE
from services.models.model.agent import AGENT as MODELS
from tandem.memory.config.v1 import knowledge_base_pb2 as knowledge

AGENTS = (
    ANSWER,
    CACHE,
    EMBEDDING,
    KNOWLEDGE_BASE,
    KSERVE,
    MEMORY_CLIENT,
    MEMORY_ORCHESTRATOR,
    MODELS,
    NAMESPACE,
    REQUEST_COORDINATOR,
    SESSION_MEMORY,
    VECTOR_FEDERATION,
    VECTOR_STORE,
)
SETTINGS = {KNOWLEDGE_BASE.name: knowledge.KnowledgeBaseSettings(without_own_documents=True)}
