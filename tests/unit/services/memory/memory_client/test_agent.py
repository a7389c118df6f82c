"""Catalogue row M050: memories over an orchestrator that comes and goes, through a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
from google.protobuf.duration_pb2 import Duration

from tandem.memory.v1 import memory_client_service_pb2 as pb
from tandem.memory.v1 import subject_pb2 as subjects
from tandem.memory.v1.journal_pb2 import JournalEntry
from tests.cluster.eventually import eventually
from tests.unit.services.memory.memory_client.clients import (
    Client,
    client_of,
    holding,
    name,
    refusal,
)
from tests.unit.services.memory.memory_client.orchestrators import FakeOrchestrator

STORED, JOURNALED = pb.WRITE_STANDING_STORED, pb.WRITE_STANDING_JOURNALED
LIVE, CACHED = pb.READ_SOURCE_LIVE, pb.READ_SOURCE_CACHED
CODE = grpc.StatusCode


async def test_what_is_well_goes_straight_through(
    client: Client, orchestrator: FakeOrchestrator
) -> None:
    """Written there, and read from a copy that says how old it is, or live where that is asked."""
    added = await client.add("one", "a cat")
    assert (added.standing, added.memory.version) == (STORED, 1)
    copied = await client.get("one")
    assert (copied.source, copied.is_stale) == (CACHED, False)
    assert copied.HasField("age")
    live = await client.get("one", age_max_s=0)
    assert (live.source, live.memory.text) == (LIVE, "a cat")
    changed = await client.update("one", "a dog", version=1)
    assert (changed.standing, changed.memory.version) == (STORED, 2)
    assert (await client.get("one")).memory.text == "a dog"
    found = await client.search("dog")
    assert ([one.memory.text for one in found.hits], found.source) == (["a dog"], LIVE)
    deleted = await client.delete("one")
    assert (deleted.standing, deleted.was_there) == (STORED, True)
    assert (await refusal(client.get("one"))).reason == "MEMORY_NOT_FOUND"
    assert orchestrator.calls == ["add", "get", "update", "search", "delete", "get"]


async def test_m050_writes_of_an_outage_are_journaled_and_drained_once(
    client: Client, orchestrator: FakeOrchestrator
) -> None:
    """In the order of each memory; and they are read before the orchestrator has heard of them."""
    await client.add("old", "an old cat")
    orchestrator.is_away = True
    for number in range(20):
        added = await client.add(f"m{number}", f"cat {number}")
        assert added.standing == JOURNALED
    await client.update("m1", "dog 1", version=1)
    await client.update("m1", "bird 1", version=2)
    await client.update("old", "an old bird", version=1)
    assert (await client.delete("m2")).was_there
    assert (await client.get("m1")).memory.text == "bird 1"
    assert (await client.get("m3")).source == pb.READ_SOURCE_JOURNAL
    assert (await refusal(client.get("m2"))).reason == "MEMORY_NOT_FOUND"
    found = await client.search("bird")
    assert {one.memory.text for one in found.hits} == {"bird 1", "an old bird"}
    assert (found.source, found.journaled) == (CACHED, 2)
    standing = (await client.journal()).standing
    assert (standing.depth, standing.is_reachable) == (24, False)
    orchestrator.is_away = False
    await client.drained()
    wanted = {f"m{number}": f"cat {number}" for number in range(20) if number != 2}
    assert orchestrator.texts == {**wanted, "m1": "bird 1", "old": "an old bird"}
    assert sorted(orchestrator.done) == sorted(
        [("add", f"m{number}") for number in range(20)]
        + [("add", "old"), ("update", "m1"), ("update", "m1"), ("update", "old"), ("delete", "m2")]
    )
    assert (await client.get("m1", age_max_s=0)).memory.version == 3
    assert (await client.add("new", "all is well")).standing == STORED


async def test_a_write_whose_answer_is_late_is_journaled_and_counts_once(
    client: Client, orchestrator: FakeOrchestrator
) -> None:
    """The orchestrator had done it, and knows it by its id."""
    await client.add("two", "a cat")
    orchestrator.answers.clear()
    added, changed, deleted = await asyncio.gather(
        client.add("one", "a cat"), client.update("two", "a dog", version=1), client.delete("none")
    )
    assert {added.standing, changed.standing, deleted.standing} == {JOURNALED}
    orchestrator.answers.set()
    await client.drained()
    assert orchestrator.texts == {"one": "a cat", "two": "a dog"}
    assert sorted(orchestrator.done) == [("add", "one"), ("add", "two"), ("update", "two")]
    assert orchestrator.calls.count("add") > 2


async def test_a_stale_copy_says_so_and_without_one_nothing_is_known(
    orchestrator: FakeOrchestrator, tmp_path: Path
) -> None:
    """Unavailable is not the same as nothing found."""
    async with client_of(orchestrator, tmp_path, fresh_for=Duration()) as client:
        await client.add("one", "a cat")
        await client.add("two", "a cat")
        orchestrator.is_away = True
        stale = await client.get("one")
        assert (stale.source, stale.is_stale) == (CACHED, True)
        found = await client.search("cat")
        assert (len(found.hits), found.source) == (2, CACHED)
        for call in (client.get("three"), client.search("bird")):
            failed = await refusal(call)
            assert (failed.code, failed.reason) == (CODE.UNAVAILABLE, "ORCHESTRATOR_UNREACHABLE")
        await client.update("three", "who knows")
        assert (await refusal(client.get("three"))).reason == "ORCHESTRATOR_UNREACHABLE"
        orchestrator.is_away = False
        await eventually(lambda: client.get("one"), lambda answer: answer.source == LIVE)
        assert not (await client.search("bird")).hits
        del orchestrator.memories[name("one")]
        assert (await refusal(client.get("one"))).reason == "MEMORY_NOT_FOUND"
        orchestrator.is_away = True
        assert (await refusal(client.get("one"))).reason == "ORCHESTRATOR_UNREACHABLE"


async def test_a_full_journal_refuses(orchestrator: FakeOrchestrator, tmp_path: Path) -> None:
    """Rather than lose what it was given; drained it takes more."""
    orchestrator.is_away = True
    async with client_of(orchestrator, tmp_path, journal_max=3) as client:
        for number in range(3):
            await client.add(f"m{number}", "a cat")
        failed = await refusal(client.add("m3", "a cat"))
        assert (failed.code, failed.reason) == (CODE.RESOURCE_EXHAUSTED, "JOURNAL_FULL")
        orchestrator.is_away = False
        await client.drained()
        await client.add("m3", "a cat")
    assert len(orchestrator.memories) == 4


async def test_the_journal_outlives_its_agent(
    orchestrator: FakeOrchestrator, tmp_path: Path
) -> None:
    """And its numbers go on."""
    orchestrator.is_away = True
    async with client_of(orchestrator, tmp_path) as client:
        await client.add("one", "a cat")
        last = await client.update("one", "a dog", version=1)
    async with client_of(orchestrator, tmp_path) as client:
        assert (await client.get("one")).memory.text == "a dog"
        assert (await client.add("two", "a cat")).journal_number > last.journal_number
        orchestrator.is_away = False
        await client.drained()
    assert orchestrator.texts == {"one": "a dog", "two": "a cat"}


async def test_what_is_about_a_subject_is_gone_and_does_not_come_back(
    client: Client, orchestrator: FakeOrchestrator, tmp_path: Path
) -> None:
    """Copies and journaled writes, and their words from the files; the rest is drained."""
    await client.add("copied", "a cat", "Quentinius")
    orchestrator.is_away = True
    await client.add("named", "a planted cat", "quentinius")
    await client.add("said", "Quentinius has a planted dog")
    await client.update("said", "Quentinius has a planted bird")
    await client.add("other", "a fish", "somebody")
    exporting = subjects.ExportSubjectRequest(subject="Quentinius", mentions=True)
    parts = [part async for part in client.stub.ExportSubject(exporting)]
    records = [JournalEntry.FromString(one.message) for part in parts for one in part.records]
    assert [one.name for one in records] == [name("named"), name("said"), name("said")]
    assert holding(tmp_path, b"planted")
    request = subjects.DeleteSubjectRequest(subject="Quentinius", mentions=True)
    assert (await client.stub.DeleteSubject(request)).deleted == 4
    assert (await client.journal()).standing.depth == 1
    assert not holding(tmp_path, b"planted")
    assert (await refusal(client.get("copied"))).reason == "ORCHESTRATOR_UNREACHABLE"
    orchestrator.is_away = False
    await client.drained()
    assert orchestrator.texts == {"copied": "a cat", "other": "a fish"}


async def test_the_journal_is_watched(client: Client, orchestrator: FakeOrchestrator) -> None:
    """How it is now, and after changes."""
    watch = client.stub.WatchJournal(pb.WatchJournalRequest())
    seen = []
    async for told in watch:
        seen.append((told.standing.depth, told.standing.is_reachable))
        if len(seen) == 1:
            orchestrator.is_away = True
            await client.add("one", "a cat")
        elif seen[-1] == (1, False):
            orchestrator.is_away = False
        elif seen[-1] == (0, True):
            break
    assert seen[0] == (0, True)
    assert (1, False) in seen
    watch.cancel()


async def test_the_journal_is_told_in_pages(client: Client, orchestrator: FakeOrchestrator) -> None:
    """In the order of its numbers; a token of something else is refused."""
    orchestrator.is_away = True
    for number in range(5):
        await client.add(f"m{number}", "a cat")
    found, token = [], ""
    while True:
        request = pb.GetJournalRequest(page_size=2, page_token=token)
        page = await client.stub.GetJournal(request)
        found += [one.number for one in page.entries]
        token = page.next_page_token
        if not token:
            break
    assert found == sorted(set(found))
    assert len(found) == 5
    wrong = pb.GetJournalRequest(page_token="x")
    assert (await refusal(client.stub.GetJournal(wrong))).reason == "PAGE_TOKEN_INVALID"
