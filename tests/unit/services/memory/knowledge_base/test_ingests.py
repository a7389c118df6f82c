"""Ingests that are cancelled, resumed and killed do nothing twice and lose nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, Final

from services.memory.knowledge_base import agent
from tandem.memory.v1 import ingest_pb2 as nouns
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tandem.memory.v1 import knowledge_base_service_pb2_grpc as rpc
from tandemkit.testing.living import living
from tandemkit.testing.parts import short_folder
from tests.unit.services.memory.knowledge_base.asking import (
    Embedder,
    inline,
    knowledge_base,
    last,
)

_DOCUMENTS: Final = 40


def many(count: int = _DOCUMENTS) -> list[pb.InlineDocument]:
    return [
        inline(f"# Plant {number}\n\nPlant {number} blooms in week {number}.\n", f"plant-{number}")
        for number in range(count)
    ]


async def test_a_cancelled_ingest_goes_on_where_it_was(tmp_path: Path) -> None:
    """What was done stays done; resumed, the rest is done, each document once."""
    embedder = Embedder()
    name = "namespaces/default/ingests/mine"
    async with knowledge_base(tmp_path, embedder) as base:
        wanted = pb.IngestDocumentsRequest(
            ingest_id="mine", documents=pb.InlineDocuments(documents=many())
        )
        cancelled = nouns.Ingest()
        async for told in base.stub.IngestDocuments(wanted):
            cancelled = told.ingest
            if cancelled.added >= 3 and cancelled.state == nouns.INGEST_STATE_RUNNING:
                await base.stub.CancelIngest(pb.CancelIngestRequest(name=name))
        assert cancelled.state == nouns.INGEST_STATE_CANCELLED
        assert 3 <= cancelled.added < _DOCUMENTS
        assert len((await base.documents()).documents) == cancelled.added
        # What is embedded while a life ends is embedded again in the next.
        await base.embedded()
    async with knowledge_base(tmp_path, embedder) as base:
        found = await base.stub.GetIngest(pb.GetIngestRequest(name=name))
        assert found.ingest.state == nouns.INGEST_STATE_CANCELLED
        done = await last(base.stub.ResumeIngest(pb.ResumeIngestRequest(name=name)))
        assert (done.state, done.added, done.unchanged) == (
            nouns.INGEST_STATE_DONE,
            _DOCUMENTS,
            0,
        )
        await base.embedded()
        assert len(embedder.texts) == len(set(embedder.texts)) == _DOCUMENTS


async def test_a_caller_that_hangs_up_ends_nothing(tmp_path: Path) -> None:
    """The ingest goes on; asked for again, it is told of."""
    async with knowledge_base(tmp_path) as base:
        wanted = pb.IngestDocumentsRequest(
            ingest_id="mine", documents=pb.InlineDocuments(documents=many(10))
        )
        call = base.stub.IngestDocuments(wanted)
        async for _told in call:
            call.cancel()
            break
        done = await last(base.stub.IngestDocuments(wanted))
        assert (done.state, done.added) == (nouns.INGEST_STATE_DONE, 10)


async def test_a_killed_ingest_goes_on_with_the_next_life() -> None:
    """Killed in the midst of it, more than once: each document is here once, with its vector."""
    with short_folder() as folder:
        for life in range(2):
            async with living(agent, folder, {"withoutOwnDocuments": True}) as (process, channel):
                stub: Any = rpc.KnowledgeBaseServiceStub(channel)
                wanted = pb.IngestDocumentsRequest(
                    ingest_id="mine", documents=pb.InlineDocuments(documents=many())
                )
                async for told in stub.IngestDocuments(wanted, wait_for_ready=True):
                    if told.ingest.added >= 5 * (life + 1):
                        break
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        async with knowledge_base(folder / "state") as base:
            name = pb.ResumeIngestRequest(name="namespaces/default/ingests/mine")
            done = await last(base.stub.ResumeIngest(name))
            assert (done.state, done.failed) == (nouns.INGEST_STATE_DONE, 0)
            assert (done.added, done.unchanged) == (_DOCUMENTS, 0)
            await base.embedded()
            documents = (await base.documents()).documents
            assert len(documents) == _DOCUMENTS
            assert all(one.passages == 1 for one in documents)
            found = await base.search("plant blooms", mode=pb.SEARCH_MODE_VECTOR, limit=100)
            assert len({one.passage.document for one in found.hits}) == _DOCUMENTS
            await base.check_spans(found)
