"""Memories through a real server: kept, found, changed, deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from tandem.memory.config.v1 import memory_orchestrator_pb2 as cfg
from tandem.memory.v1 import label_filter_pb2 as labels
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_pb2 as nouns
from tandem.memory.v1 import subject_pb2
from tandemkit.testing.failures import failure_of
from tests.unit.services.memory.memory_orchestrator.remembering import (
    Stub,
    add,
    ids,
    name,
    refusal,
    remembering,
    search,
)

CODE = grpc.StatusCode


def contents(folder: Path) -> list[bytes]:
    return [one.read_bytes().lower() for one in folder.rglob("*") if one.is_file()]


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[Stub]:
    async with remembering(tmp_path) as stub:
        yield stub


async def test_what_was_added_is_there_after_a_restart_and_found(tmp_path: Path) -> None:
    """With all that was said of it."""
    async with remembering(tmp_path) as stub:
        made = await add(stub, "The tram to Lyon leaves at noon.", "a", subjects=["Lyon"])
        assert (made.name, made.version, made.strength > 0) == (name("a"), 1, True)
    async with remembering(tmp_path) as stub:
        assert await ids(stub, "when does the tram leave") == ["a"]
        found = (await stub.GetMemory(pb.GetMemoryRequest(name=name("a")))).memory
        assert (found.text, list(found.subjects)) == (made.text, ["Lyon"])
        assert found.tier == nouns.MEMORY_TIER_EPISODIC


async def test_the_same_again_counts_once_and_something_else_is_refused(stub: Stub) -> None:
    """By the caller's id; without one each call counts."""
    request = pb.AddMemoryRequest(memory_id="a", memory=nouns.Memory(text="one"))
    first, again = await stub.AddMemory(request), await stub.AddMemory(request)
    assert (first.was_there, again.was_there) == (False, True)
    assert again.memory.name == first.memory.name
    request.memory.text = "other"
    failed = await refusal(stub.AddMemory(request))
    assert (failed.code, failed.reason) == (CODE.ALREADY_EXISTS, "MEMORY_EXISTS")
    assert (await add(stub, "one")).name != (await add(stub, "one")).name


async def test_a_deleted_memory_is_not_found_and_does_not_come_back(stub: Stub) -> None:
    """Also by a repetition of the call that added it, which comes late."""
    await add(stub, "a quokka", "a")
    assert await ids(stub, "quokka") == ["a"]
    deleted = await stub.DeleteMemory(pb.DeleteMemoryRequest(name=name("a")))
    assert (deleted.was_there, list(deleted.remains)) == (True, [])
    assert await ids(stub, "quokka") == []
    failed = await refusal(add(stub, "a quokka", "a"))
    assert (failed.code, failed.reason) == (CODE.FAILED_PRECONDITION, "MEMORY_DELETED")
    failed = await refusal(stub.GetMemory(pb.GetMemoryRequest(name=name("a"))))
    assert (failed.code, failed.reason) == (CODE.NOT_FOUND, "MEMORY_NOT_FOUND")
    again = await stub.DeleteMemory(pb.DeleteMemoryRequest(name=name("a")))
    assert not again.was_there


async def test_an_update_is_found_by_its_new_words_alone(stub: Stub) -> None:
    """And an update that knows another version changes nothing."""
    await add(stub, "the red door", "a")
    request = pb.UpdateMemoryRequest(
        name=name("a"),
        expected_version=1,
        memory=nouns.Memory(text="the green gate"),
        update_mask=FieldMask(paths=["text"]),
        request_id="once",
    )
    assert (await stub.UpdateMemory(request)).memory.version == 2
    assert (await stub.UpdateMemory(request)).memory.version == 2
    assert (await ids(stub, "red door"), await ids(stub, "green")) == ([], ["a"])
    request.request_id = "twice"
    failed = await refusal(stub.UpdateMemory(request))
    assert (failed.code, failed.reason) == (CODE.ABORTED, "MEMORY_VERSION_CONFLICT")
    assert (failed.metadata["expected"], failed.metadata["actual"]) == ("1", "2")


@pytest.mark.parametrize("paths", [[], ["name"], ["text", "uses"]])
async def test_a_mask_names_what_can_be_changed(stub: Stub, paths: list[str]) -> None:
    """And nothing else is."""
    await add(stub, "one", "a")
    request = pb.UpdateMemoryRequest(name=name("a"), memory=nouns.Memory(text="two"))
    request.update_mask.paths.extend(paths)
    failed = await refusal(stub.UpdateMemory(request))
    assert (failed.code, failed.reason) == (CODE.INVALID_ARGUMENT, "MASK_INVALID")


async def test_a_memory_without_words_is_refused(stub: Stub) -> None:
    """A fact says its own."""
    failed = await refusal(add(stub, " \n"))
    assert (failed.code, failed.reason) == (CODE.INVALID_ARGUMENT, "MEMORY_EMPTY")
    fact = nouns.Fact(subject="Ann", predicate="likes", object="figs")
    made = await add(stub, "", fact=fact)
    assert (made.text, made.tier) == ("Ann likes figs", nouns.MEMORY_TIER_SEMANTIC)


async def test_nothing_found_is_an_empty_answer(stub: Stub) -> None:
    """Where there is nothing, and where nothing fits."""
    assert not (await search(stub, "anything")).hits
    await add(stub, "the red door")
    assert not (await search(stub, "xylophone")).hits
    assert not (await search(stub, "door", namespace="other")).hits


async def test_a_search_takes_only_what_it_asks_for(stub: Stub) -> None:
    """Tiers, subjects, labels, and when it is true."""
    colour = labels.Label(key="colour", texts=labels.TextSet(texts=["red"]))
    await add(stub, "door one", "a", tier=nouns.MEMORY_TIER_WORKING, labels=[colour])
    await add(stub, "door two", "b", subjects=["Ann  Lee"])
    over = nouns.Memory(text="door three")
    over.valid_to.FromJsonString("2001-01-01T00:00:00Z")
    await stub.AddMemory(pb.AddMemoryRequest(memory_id="c", memory=over))
    assert sorted(await ids(stub, "door")) == ["a", "b"]
    assert await ids(stub, "door", tiers=[nouns.MEMORY_TIER_WORKING]) == ["a"]
    assert await ids(stub, "door", subjects=["ann lee", "bob"]) == ["b"]
    red = labels.LabelCondition(key="colour", one_of=labels.TextSet(texts=["red"]))
    assert await ids(stub, "door", filter=labels.LabelFilter(conditions=[red])) == ["a"]
    assert "c" in await ids(stub, "door", valid_at=Timestamp(seconds=0))


async def test_memories_are_listed_by_page(stub: Stub) -> None:
    """In the order of their ids, and of their namespace alone."""
    for number in range(5):
        await add(stub, "x", f"m{number}")
    other = pb.AddMemoryRequest(namespace="other", memory=nouns.Memory(text="x"))
    await stub.AddMemory(other)
    heard, token = [], ""
    while True:
        page = await stub.ListMemories(pb.ListMemoriesRequest(page_size=2, page_token=token))
        heard += [one.name for one in page.memories]
        if not (token := page.next_page_token):
            break
    assert heard == [name(f"m{number}") for number in range(5)]


async def test_a_full_index_takes_nothing_more(tmp_path: Path) -> None:
    """And says what to do."""
    settings = cfg.MemoryOrchestratorSettings(index_mib_max=1)
    async with remembering(tmp_path, settings=settings) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            for number in range(10):
                await add(stub, " ".join(f"{number}word{other}" for other in range(3000)))
                await search(stub, "word1")
    failed = failure_of(raised.value)
    assert (failed.code, failed.reason) == (CODE.RESOURCE_EXHAUSTED, "MEMORY_FULL")


async def test_everything_about_a_subject_is_exported_and_deleted(tmp_path: Path) -> None:
    """From the answers and from the files, by name and by mention, and nothing else."""
    async with remembering(tmp_path) as stub:
        await add(stub, "her zweibrueggen number", "a", subjects=["Ann Lee"])
        await add(stub, "ann lee, zweibrueggen again", "b")
        fact = nouns.Fact(subject="ANN  LEE", predicate="lives in", object="Zweibrueggen")
        await add(stub, "", "c", fact=fact)
        await add(stub, "about annlee the robot", "d")
        asked = subject_pb2.ExportSubjectRequest(subject="ann lee", mentions=True)
        told = [one async for part in stub.ExportSubject(asked) for one in part.records]
        assert sorted(one.name for one in told) == [name("a"), name("b"), name("c")]
        assert nouns.Memory.FromString(told[0].message).text
        request = subject_pb2.DeleteSubjectRequest(subject="Ann Lee")
        assert (await stub.DeleteSubject(request)).deleted == 2
        request.mentions = True
        assert (await stub.DeleteSubject(request)).deleted == 1
        assert await ids(stub, "zweibrueggen robot") == ["d"]
        files = contents(tmp_path)
    assert any(b"robot" in one for one in files)
    assert not any(b"zweibr" in one or b"ann lee" in one for one in files)
