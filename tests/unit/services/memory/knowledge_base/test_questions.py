"""What people ask first is answered out of the platform's own documents, by words alone: meaning
helps, and nobody has to wait for it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.memory.v1 import citation_pb2 as citations
from tandem.memory.v1 import embedding_service_pb2 as embedding
from tandem.memory.v1 import ingest_pb2 as nouns
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tests.repo.checkout import root
from tests.unit.services.memory.knowledge_base.asking import (
    Asking,
    Embedder,
    inline,
    knowledge_base,
    last,
)

OWN_NAMESPACE = "tandem-docs"
ANSWERED = [
    ("How do I add an agent?", "docs/questions.md", "tools/new_agent.py"),
    ("How do I start it?", "README.md", "./tandem up"),
    ("Where is the token?", "docs/design/safety.md", "$TANDEM_HOME/token"),
    ("How do I roll back?", "docs/design/checkpoints.md", "rollback"),
    ("What is a pool?", "docs/design/pools.md", "pool"),
    ("How do I take a checkpoint?", "docs/design/command-line.md", "checkpoint"),
    ("How do I schedule a call?", "docs/design/schedules.md", "CreateSchedule"),
    ("How do I add a dependency?", "CONTRIBUTING.md", "pyproject.toml"),
    ("How do I release a new version?", "CONTRIBUTING.md", "./tandem release"),
    ("How do I switch a feature flag?", "docs/design/flags.md", "SwitchFlag"),
    ("What does exit code 2 mean?", "docs/design/command-line.md", "it cannot be done as asked"),
    ("Where do secrets come from?", "docs/design/secrets.md", "secret"),
    ("What is a dead letter?", "docs/design/jobs.md", "dead letter"),
    ("How are events kept?", "docs/design/events.md", "kept for good"),
    ("How do I undo a policy change?", "docs/runbooks/policy-not-in-force.md", "policy undo"),
    ("How do I get a port for my process?", "docs/design/ports.md", "port"),
    ("Which languages have clients?", "docs/design/clients-in-other-languages.md", "client"),
    ("What is the edge?", "docs/design/edge.md", "edge"),
    ("What does the toolbox do?", "docs/design/utility.md", "tool"),
    ("How are traces sampled?", "docs/design/tracing.md", "trace"),
    ("What happens to a call when an instance is suspended?", "docs/design/pools.md", "suspended"),
    ("How do I stop the fleet?", "docs/questions.md", "./tandem down"),
    ("How do I see the logs of an agent?", "docs/questions.md", "./tandem logs"),
    ("How do I make a backup?", "docs/questions.md", "./tandem checkpoint"),
    ("How do I upgrade to a new version?", "docs/questions.md", "git pull"),
    ("How do I connect a second machine?", "docs/questions.md", "hosts.key"),
    ("Where is the data stored?", "docs/questions.md", "$TANDEM_HOME"),
    ("How do I use my own language model?", "docs/questions.md", "backends:"),
]
NOT_ANSWERED = [
    "What is the capital of France?",
    "How do I bake bread?",
    "Who won the world cup in 1998?",
    "zzz qqq?",
]


async def ask(base: Asking, question: str) -> pb.AskResponse:
    """The answer, whose quotes stand where they say."""
    found = await base.stub.Ask(pb.AskRequest(question=question))
    assert found.kind == citations.ANSWER_KIND_EXTRACTIVE
    for number, one in enumerate(found.citations, start=1):
        document = one.name.partition("/passages/")[0]
        text = await base.text(document)
        assert text[one.span.start_char : one.span.end_char] == one.quote
        assert (root() / one.uri).read_text("utf-8").count(one.quote) >= 1
        assert one.number == number
        assert f"[{number}]" in found.answer
    assert bool(found.citations) == found.is_answered == bool(found.answer)
    return found


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an agent finds the platform's own documents."""
    monkeypatch.setenv("TANDEM_ROOT", str(root()))


@pytest.mark.usefixtures("checkout")
async def test_who_is_new_gets_answers(tmp_path: Path) -> None:
    """Each from the page that says it, with spans that exist; what no page says is not answered."""
    embedder = Embedder()
    embedder.is_away = True
    async with knowledge_base(tmp_path, embedder, without_own_documents=False) as base:
        (own,) = (
            await base.stub.ListIngests(pb.ListIngestsRequest(namespace=OWN_NAMESPACE))
        ).ingests
        done = await last(base.stub.ResumeIngest(pb.ResumeIngestRequest(name=own.name)))
        assert (done.state, done.failed) == (nouns.INGEST_STATE_DONE, 0)
        missed = []
        for question, page, words in ANSWERED:
            found = await ask(base, question)
            if page not in {one.uri for one in found.citations} or words not in found.answer:
                missed.append((question, [one.uri for one in found.citations]))
        assert not missed
        for question in NOT_ANSWERED:
            assert not (await ask(base, question)).is_answered


@pytest.mark.usefixtures("checkout")
async def test_own_documents_are_taken_in_once(tmp_path: Path) -> None:
    """A start over the same ones does nothing; they have their namespace to themselves, and are
    embedded behind everybody's and for all fleets of the machine.
    """
    embedder = Embedder()
    async with knowledge_base(tmp_path, embedder, without_own_documents=False) as base:
        await base.ingest([inline("A spade is a tool.", "spade")])
        (own,) = (
            await base.stub.ListIngests(pb.ListIngestsRequest(namespace=OWN_NAMESPACE))
        ).ingests
        await last(base.stub.ResumeIngest(pb.ResumeIngestRequest(name=own.name)))
        await base.embedded(OWN_NAMESPACE)
        first = await base.documents(OWN_NAMESPACE)
        assert len((await base.documents()).documents) == 1
        assert embedder.keeps == {
            embedding.EMBEDDING_KEEP_NEVER,
            embedding.EMBEDDING_KEEP_MACHINE,
        }
    before = len(embedder.texts)
    async with knowledge_base(tmp_path, embedder, without_own_documents=False) as base:
        assert await base.documents(OWN_NAMESPACE) == first
        ingests = await base.stub.ListIngests(pb.ListIngestsRequest(namespace=OWN_NAMESPACE))
        assert len(ingests.ingests) == 1
        assert len(embedder.texts) == before
