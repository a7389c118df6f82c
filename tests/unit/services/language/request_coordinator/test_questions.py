"""What people ask first arrives at the documents, and is answered with the places of what is
quoted: the coordinator beside a real knowledge base over the platform's own documents.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from services.language.request_coordinator.agent import AGENT
from services.memory.knowledge_base.agent import AGENT as KNOWLEDGE_BASE
from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandem.language.v1 import request_coordinator_service_pb2_grpc as rpc
from tandem.memory.v1 import answer_service_pb2 as answering
from tandem.memory.v1 import embedding_service_pb2 as embedding
from tandem.memory.v1 import ingest_pb2 as ingests
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.memory.v1 import knowledge_base_service_pb2_grpc as knowledge_rpc
from tandemkit.testing.agents import fake_agent, serving
from tests.repo.checkout import root
from tests.unit.services.language.request_coordinator.asking import Beside
from tests.unit.services.memory.knowledge_base.asking import Embedder, last
from tests.unit.services.memory.knowledge_base.test_questions import (
    ANSWERED,
    NOT_ANSWERED,
    OWN_NAMESPACE,
)


async def test_who_is_new_gets_answers_with_citations_that_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each from the page that says it, wherever it was sent first; each quote is in its file."""
    monkeypatch.setenv("TANDEM_ROOT", str(root()))
    embedder = Embedder()
    embedder.is_away = True
    beside = (
        KNOWLEDGE_BASE,
        fake_agent(embedding.DESCRIPTOR, EmbedTexts=embedder.embed),
        fake_agent(answering.DESCRIPTOR, AnswerQuestion=Beside().recall_nothing),
    )
    async with serving(AGENT, beside=beside, state_dir=tmp_path) as channel:
        base = knowledge_rpc.KnowledgeBaseServiceStub(channel)
        listed = await base.ListIngests(knowledge.ListIngestsRequest(namespace=OWN_NAMESPACE))
        (own,) = listed.ingests
        done = await last(base.ResumeIngest(knowledge.ResumeIngestRequest(name=own.name)))
        assert done.state == ingests.INGEST_STATE_DONE
        agent = rpc.RequestCoordinatorServiceStub(channel)
        missed = []
        for question, page, words in ANSWERED:
            answer = await agent.Ask(pb.AskRequest(text=question))
            for one in answer.citations:
                assert one.quote in (root() / one.uri).read_text("utf-8")
                assert one.title
                assert one.end_char - one.start_char == len(one.quote)
            if page not in {one.uri for one in answer.citations} or words not in answer.answer:
                missed.append((question, nouns.Route.Name(answer.routing.route)))
        assert not missed
        for question in NOT_ANSWERED:
            assert not (await agent.Ask(pb.AskRequest(text=question))).is_answered
