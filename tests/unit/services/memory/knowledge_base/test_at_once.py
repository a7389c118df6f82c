"""Ingests of one folder that are asked for at the same time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from tandem.memory.v1 import ingest_pb2 as nouns
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tests.unit.services.memory.knowledge_base.asking import Asking, knowledge_base, last

_FILES: Final = 12
_DONE: Final = nouns.INGEST_STATE_DONE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "texts"
    made.mkdir()
    for number in range(_FILES):
        (made / f"plant-{number:02}.md").write_text(f"# Plant {number}\n\nIt blooms.\n")
    return made


def _request(folder: str, **said: Any) -> pb.IngestDocumentsRequest:
    return pb.IngestDocumentsRequest(folder=pb.DocumentFolder(path=folder), **said)


async def _listed(base: Asking, request: pb.IngestDocumentsRequest) -> Any:
    """The call, once it knows what its folder has."""
    call = base.stub.IngestDocuments(request)
    async for told in call:
        if told.ingest.documents:
            return call
    raise AssertionError("it ended before it began")


async def test_what_a_second_ingest_takes_in_is_not_taken_away_by_the_first(
    folder: Path, tmp_path: Path
) -> None:
    """Who looked into the folder before the file came knows nothing of it; each document is here
    once, whoever took it in and however the folder was spelled.
    """
    async with knowledge_base(tmp_path / "state", roots=[str(tmp_path)]) as base:
        first = await _listed(base, _request(str(folder), ingest_id="first"))
        (folder / "added.md").write_text("# Added\n\nIt came later.\n")
        again = base.stub.IngestDocuments(_request(f"{folder}/", ingest_id="second"))
        one, other = await asyncio.gather(last(first), last(again))
        assert (one.state, one.added, one.removed) == (_DONE, _FILES, 0)
        assert (other.state, other.added, other.unchanged, other.removed) == (_DONE, 1, _FILES, 0)
        documents = (await base.documents()).documents
        assert len({one.uri for one in documents}) == len(documents) == _FILES + 1
        assert [found.passages for found in documents] == [1] * len(documents)


async def test_an_ingest_that_goes_on_takes_nothing_away_that_came_meanwhile(
    folder: Path, tmp_path: Path
) -> None:
    """What it found in the folder is old by then."""
    async with knowledge_base(tmp_path / "state", roots=[str(tmp_path)]) as base:
        first = await _listed(base, _request(str(folder), ingest_id="first"))
        name = "namespaces/default/ingests/first"
        await base.stub.CancelIngest(pb.CancelIngestRequest(name=name))
        assert (await last(first)).state == nouns.INGEST_STATE_CANCELLED
        (folder / "added.md").write_text("# Added\n\nIt came later.\n")
        (folder / "plant-00.md").unlink()
        await base.folder(folder)
        resumed = await last(base.stub.ResumeIngest(pb.ResumeIngestRequest(name=name)))
        assert (resumed.state, resumed.removed) == (_DONE, 0)
        uris = {one.uri for one in (await base.documents()).documents}
        assert len(uris) == _FILES
        assert f"file://{folder}/added.md" in uris


async def test_the_same_asked_for_again_and_again_waits_once(folder: Path, tmp_path: Path) -> None:
    """One is at work and one behind it: whoever comes now has what that one finds."""
    async with knowledge_base(tmp_path / "state", roots=[str(tmp_path)]) as base:
        first = await _listed(base, _request(str(folder)))
        calls = [base.stub.IngestDocuments(_request(str(folder))) for _ in range(5)]
        # Another one's subjects are another order.
        other = base.stub.IngestDocuments(_request(str(folder), subjects=["plants"]))
        done, *joined, last_one = await asyncio.gather(*map(last, (first, *calls, other)))
        assert {one.state for one in (done, *joined, last_one)} == {_DONE}
        assert done.name not in {one.name for one in joined}
        assert len({one.name for one in joined}) == 1
        assert last_one.name not in {done.name, joined[0].name}
        listed = await base.stub.ListIngests(pb.ListIngestsRequest())
        assert len(listed.ingests) == 3
