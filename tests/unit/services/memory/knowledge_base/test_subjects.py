"""Everything about somebody is exported, and deleted from the files."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.memory.knowledge_base import ledger, shelf
from services.memory.knowledge_base.intake import Intake
from services.memory.knowledge_base.ledger import Entry, Item, Order
from services.memory.knowledge_base.library import library
from services.memory.knowledge_base.names import Name
from services.memory.knowledge_base.reading import Text
from services.memory.knowledge_base.subjects import Subjects, Whom
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tandem.memory.v1 import subject_pb2 as nouns
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock
from tests.unit.services.memory.knowledge_base.asking import (
    Asking,
    holding,
    inline,
    knowledge_base,
)


async def plant(base: Asking) -> None:
    """One about Ann, one that mentions her, one of neither, and one of another namespace."""
    await base.ingest(
        [
            inline("# Letter\n\nThe zarquon is hers.", "letter", subjects=["Ann Lee"]),
            inline("# Note\n\nAnn  LEE's zarquon was seen.", "note"),
            inline("# Annex\n\nAnn Leeson has none.", "annex"),
        ]
    )
    await base.ingest([inline("Ann Lee is here too.", "there")], namespace="other")
    await base.embedded()


async def exported(base: Asking, **said: Any) -> dict[str, str]:
    """Texts by the names of their documents."""
    found: dict[str, str] = {}
    async for told in base.stub.ExportSubject(nouns.ExportSubjectRequest(**said)):
        for record in told.records:
            message = pb.GetDocumentResponse.FromString(record.message)
            assert record.name == message.document.name
            found[record.name.rpartition("/")[2]] = message.text
    return found


async def test_a_subject_is_exported_with_all_texts(tmp_path: Path) -> None:
    """Named, or mentioned where that is asked for; nobody else's."""
    async with knowledge_base(tmp_path) as base:
        await plant(base)
        assert set(await exported(base, subject="ann lee")) == {"letter"}
        both = await exported(base, subject="Ann Lee", mentions=True)
        assert set(both) == {"letter", "note"}
        assert "zarquon is hers" in both["letter"]
        assert set(await exported(base, whole_namespace=True)) == {"letter", "note", "annex"}


async def test_a_deleted_subject_is_in_no_file(tmp_path: Path) -> None:
    """Whoever greps finds no word of it; others stay."""
    async with knowledge_base(tmp_path) as base:
        await plant(base)
        assert holding(tmp_path, b"zarquon")
        gone = await base.stub.DeleteSubject(
            nouns.DeleteSubjectRequest(subject="Ann Lee", mentions=True)
        )
        assert (gone.deleted, list(gone.remains)) == (2, [])
        assert not holding(tmp_path, b"zarquon")
        assert [one.name.rpartition("/")[2] for one in (await base.documents()).documents] == [
            "annex"
        ]
        assert len((await base.documents("other")).documents) == 1
        again = nouns.DeleteSubjectRequest(subject="Ann Lee", mentions=True)
        assert (await base.stub.DeleteSubject(again)).deleted == 0


async def test_an_emptied_namespace_has_nothing(tmp_path: Path) -> None:
    """Neither documents nor ingests; another one stays as it is."""
    async with knowledge_base(tmp_path) as base:
        await plant(base)
        gone = await base.stub.DeleteSubject(nouns.DeleteSubjectRequest(whole_namespace=True))
        assert gone.deleted == 3
        assert not (await base.documents()).documents
        assert not (await base.stub.ListIngests(pb.ListIngestsRequest())).ingests
        assert not holding(tmp_path, b"zarquon")
        assert (await base.search("ann lee", namespace="other")).hits


async def test_an_ingest_that_was_about_somebody_says_so_no_more(tmp_path: Path) -> None:
    """Its record had the name, also when all its documents were gone."""
    async with knowledge_base(tmp_path) as base:
        await base.ingest([inline("# Letter\n\nHers.", "letter")], subjects=["Zarquon Fox"])
        assert holding(tmp_path, b"zarquon")
        await base.stub.DeleteSubject(nouns.DeleteSubjectRequest(subject="zarquon fox"))
        assert not holding(tmp_path, b"zarquon")
        assert not (await base.stub.ListIngests(pb.ListIngestsRequest())).ingests


@dataclass
class SlowReader:
    """`Sources` whose reader waits to be told."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def filled(self, one: Entry, item: Item) -> Item:
        return item

    async def text(self, item: Item) -> Text:
        self.begun.set()
        await self.may_end.wait()
        return Text("", "text/plain", item.content.decode(), ())


class NoVectors:
    """`Following` with nothing to forget."""

    async def forget(self) -> None:
        pass


async def test_what_is_read_while_its_subject_is_deleted_is_not_filed(tmp_path: Path) -> None:
    """It was in the files when the deletion came, so it is not there behind it."""
    async with library(tmp_path / "knowledge.sqlite") as opened:
        space = await opened.write(lambda one: shelf.space_key(one, "default"))
        item = Item("a", "", "", "", ("Ann Lee",), b"hers")
        order = Order(space, "i", items=(item,), is_listed=True)
        key = await opened.write(partial(ledger.accept, order=order, now_us=1))
        reader: Any = SlowReader()
        vectors: Any = NoVectors()
        intake = Intake(opened, reader, FakeClock())
        async with Tasks() as tasks:
            tasks.spawn("intake", intake.run())
            await reader.begun.wait()
            await Subjects(opened, vectors).delete(Whom("default", "ann lee", False, False))
            with intake.watched.watching(key) as news:
                reader.may_end.set()
                while key in await opened.read(ledger.running):
                    await news.wait()
                    news.clear()
            await tasks.end()
        assert (
            await opened.read(lambda one: one.execute("SELECT * FROM documents").fetchall()) == []
        )


async def test_a_deleted_document_is_in_no_ingest(tmp_path: Path) -> None:
    """One that waits, or was cancelled, has its text too."""
    async with library(tmp_path / "knowledge.sqlite") as opened:
        space = await opened.write(lambda one: shelf.space_key(one, "default"))
        items = tuple(Item(one, "", "", "", (), f"zarquon {one}".encode()) for one in "ab")
        order = Order(space, "i", items=items, is_listed=True)
        key = await opened.write(partial(ledger.accept, order=order, now_us=1))
        vectors: Any = NoVectors()
        assert not await Subjects(opened, vectors).delete_document(Name("default", "a"))
        assert not holding(tmp_path, b"zarquon a")
        left = await opened.read(partial(ledger.next_item, key=key))
        assert left is not None
        assert left.document == "b"


@pytest.mark.parametrize(
    ("text", "media_type", "fact"),
    [
        (
            "# Garden\n\n## Tools\n\nA spade is a tool for digging.\n",
            "text/markdown",
            ("spade", "is a", "tool for digging"),
        ),
        ("# Garden\n\n## Tools\n\nDig.\n", "text/markdown", ("Tools", "part of", "Garden")),
        (
            "# Garden\n\nSee [the shed](shed.md#roof).\n",
            "text/markdown",
            ("Garden", "links to", "shed.md"),
        ),
        ("import json\n\ndef dig():\n    pass\n", "text/x-python", ("a.py", "defines", "dig")),
        ("import json\n\ndef dig():\n    pass\n", "text/x-python", ("a.py", "imports", "json")),
    ],
)
async def test_facts_are_found_by_rules_with_their_passage(
    tmp_path: Path, text: str, media_type: str, fact: tuple[str, str, str]
) -> None:
    """Each says where it was said, and goes with that."""
    subject, predicate, thing = fact
    async with knowledge_base(tmp_path) as base:
        await base.ingest([inline(text, "one", media_type=media_type, uri="a.py")])
        wanted = pb.ListFactsRequest(subject=subject.upper(), predicate=predicate, object=thing)
        (found,) = (await base.stub.ListFacts(wanted)).facts
        assert (found.subject, found.predicate, found.object) == fact
        assert found.passage.startswith("namespaces/default/documents/one/passages/")
        name = "namespaces/default/documents/one"
        await base.stub.DeleteDocument(pb.DeleteDocumentRequest(name=name))
        assert not (await base.stub.ListFacts(pb.ListFactsRequest())).facts


async def test_a_path_leads_over_facts_whichever_way_they_are_said(tmp_path: Path) -> None:
    """The shortest, within its bound; none is an empty answer."""
    text = "# Garden\n\n{long}\n\n## Shed\n\nA spade is a tool.\n\n## Hut\n\nA hoe is a tool.\n"
    async with knowledge_base(tmp_path) as base:
        await base.ingest([inline(text.format(long="Green. " * 200), "one")])
        wanted = pb.FindPathRequest(start="spade", goal="HOE")
        found = await base.stub.FindPath(wanted)
        assert [(one.subject, one.object) for one in found.facts] == [
            ("spade", "tool"),
            ("hoe", "tool"),
        ]
        short = pb.FindPathRequest(start="spade", goal="hoe", facts_max=1)
        assert not (await base.stub.FindPath(short)).facts
        nobody = pb.FindPathRequest(start="spade", goal="zeppelin")
        assert not (await base.stub.FindPath(nobody)).facts
