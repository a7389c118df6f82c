"""A word that stands in nothing else, left behind in every agent that keeps content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from services.memory.cache.agent import AGENT as CACHE
from services.memory.knowledge_base.agent import AGENT as KNOWLEDGE_BASE
from services.memory.memory_client.agent import AGENT as MEMORY_CLIENT
from services.memory.memory_orchestrator.agent import AGENT as MEMORY_ORCHESTRATOR
from services.memory.session_memory.agent import AGENT as SESSION_MEMORY
from services.memory.vector_store.agent import AGENT as VECTOR_STORE
from tandemkit.hosting.agent import Agent
from tandemkit.rpc.contract import Method

WORD = "Zwölfuhrblatt9731"
TEXT = f"It was {WORD} who kept the clocks."
_SPACE = {"model": "trial", "version": "1", "dimension": 2}
_COLLECTION = "namespaces/default/collections/clocks"
_LABEL = {"key": "subjects", "texts": {"texts": [WORD]}}
_POINT = {"id": f"about {WORD}", "values": [1.0, 0.0], "labels": [_LABEL]}


@dataclass(frozen=True)
class Planted:
    """Calls that leave the word behind, about `WORD` or with it in a text alone."""

    agent: Agent
    calls: tuple[tuple[str, dict[str, Any]], ...]

    @property
    def requests(self) -> list[tuple[Method, Message]]:
        methods = {one.name: one for one in self.agent.promise.methods}
        return [(methods[name], methods[name].request(**request)) for name, request in self.calls]


PLANTED = (
    Planted(
        CACHE,
        (("PutEntry", {"key": "clocks", "value": TEXT.encode(), "subjects": [WORD]}),),
    ),
    Planted(
        KNOWLEDGE_BASE,
        (
            (
                "IngestDocuments",
                {"documents": {"documents": [{"document_id": "a", "content": TEXT.encode()}]}},
            ),
        ),
    ),
    Planted(
        MEMORY_ORCHESTRATOR,
        (("AddMemory", {"memory_id": "a", "memory": {"text": TEXT, "subjects": [WORD]}}),),
    ),
    Planted(
        # Where there is nobody to send it on to it stays in the journal.
        MEMORY_CLIENT,
        (("AddMemory", {"memory_id": "b", "memory": {"text": TEXT, "subjects": [WORD]}}),),
    ),
    Planted(
        SESSION_MEMORY,
        (
            (
                "AppendTurn",
                {
                    "session": "namespaces/default/sessions/one",
                    "turn_id": "1",
                    "role": "TURN_ROLE_USER",
                    "text": TEXT,
                    "subjects": [WORD],
                },
            ),
        ),
    ),
    Planted(
        VECTOR_STORE,
        (
            ("CreateCollection", {"collection_id": "clocks", "space": _SPACE}),
            ("UpsertVectors", {"collection": _COLLECTION, "space": _SPACE, "points": [_POINT]}),
        ),
    ),
)

_TITLE = {"key": "title", "texts": {"texts": ["Notes", TEXT]}}
_UNTOLD = {"text": "Somebody wound them.", "labels": [_TITLE]}
# Labels are text too, though no `subjects` names anybody.
LABELLED = (
    Planted(
        KNOWLEDGE_BASE,
        (
            (
                "IngestDocuments",
                {
                    "documents": {
                        "documents": [
                            {"document_id": "a", "content": b"Wound.", "labels": [_TITLE]}
                        ]
                    }
                },
            ),
        ),
    ),
    Planted(MEMORY_ORCHESTRATOR, (("AddMemory", {"memory_id": "a", "memory": _UNTOLD}),)),
    Planted(MEMORY_CLIENT, (("AddMemory", {"memory_id": "b", "memory": _UNTOLD}),)),
    Planted(
        VECTOR_STORE,
        (
            ("CreateCollection", {"collection_id": "clocks", "space": _SPACE}),
            (
                "UpsertVectors",
                {
                    "collection": _COLLECTION,
                    "space": _SPACE,
                    "points": [{"id": "a", "values": [1.0, 0.0], "labels": [_TITLE]}],
                },
            ),
        ),
    ),
)
