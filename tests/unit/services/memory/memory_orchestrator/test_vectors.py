"""Vectors are made behind the write, and a search says where it lacks them."""

from __future__ import annotations

from pathlib import Path

from tandem.memory.v1 import degradation_pb2 as degradation
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_pb2 as nouns
from tests.unit.services.memory.memory_orchestrator.remembering import (
    Words,
    add,
    embedded,
    ids,
    name,
    remembering,
    search,
)


async def test_what_was_added_is_found_by_words_and_soon_by_meaning(tmp_path: Path) -> None:
    """An answer says by what each was found, and that nothing is missing."""
    words = Words()
    async with remembering(tmp_path, words.agent) as stub:
        await add(stub, "a red door in the garden", "a")
        await add(stub, "a blue boat on the lake", "b")
        await embedded(stub, 2)
        found = await search(stub, "red door in the garden")
        assert (list(found.degraded), found.pending) == ([], 0)
        assert found.hits[0].memory.name == name("a")
        assert (found.hits[0].lexical_rank, found.hits[0].vector_rank) == (1, 1)


async def test_without_embedding_it_finds_by_words_and_says_so(tmp_path: Path) -> None:
    """A write waits for nobody, and its vector is made when that can be done again."""
    words = Words()
    words.is_away = True
    async with remembering(tmp_path, words.agent) as stub:
        await add(stub, "a red door", "a")
        found = await search(stub, "door")
        assert [hit.memory.name for hit in found.hits] == [name("a")]
        assert degradation.DEGRADATION_LEXICAL_ONLY in found.degraded
        assert degradation.DEGRADATION_VECTORS_PENDING in found.degraded
        words.is_away = False
        await embedded(stub, 1)
        assert not (await search(stub, "door")).degraded


async def test_a_restart_embeds_nothing_again_and_goes_on_with_what_waits(tmp_path: Path) -> None:
    """Vectors stand in the store beside what they are of."""
    words = Words()
    async with remembering(tmp_path, words.agent) as stub:
        await add(stub, "a red door", "a")
        await embedded(stub, 1)
    async with remembering(tmp_path) as stub:
        await add(stub, "a blue boat", "b")
    async with remembering(tmp_path, words.agent) as stub:
        await add(stub, "a green gate", "c")
        assert (await search(stub, "red door")).hits[0].vector_rank == 1
    assert sorted(words.embedded) in (["a green gate", "a red door"], ["a red door"])


async def test_a_new_text_has_a_new_vector(tmp_path: Path) -> None:
    """The old one is nobody's any more."""
    words = Words()
    async with remembering(tmp_path, words.agent) as stub:
        await add(stub, "a red door", "a")
        await embedded(stub, 1)
        request = pb.UpdateMemoryRequest(name=name("a"), memory=nouns.Memory(text="a blue boat"))
        request.update_mask.paths.append("text")
        assert not (await stub.UpdateMemory(request)).memory.is_embedded
        await embedded(stub, 1)
        assert await ids(stub, "red door") == []
        assert (await search(stub, "blue boat")).hits[0].vector_rank == 1


async def test_vectors_of_two_models_are_not_mixed(tmp_path: Path) -> None:
    """With another model all are made again; meanwhile the answer says that some are missing."""
    async with remembering(tmp_path, Words().agent) as stub:
        await add(stub, "a red door", "a")
        await embedded(stub, 1)
    other = Words("others")
    async with remembering(tmp_path, other.agent) as stub:
        found = await search(stub, "red door")
        assert (found.hits[0].vector_rank, found.pending) == (0, 1)
        assert degradation.DEGRADATION_VECTORS_PENDING in found.degraded
        await add(stub, "a blue boat", "b")
        await embedded(stub, 2)
        # That one is old enough for any replica when its writer had its time.
        assert "a blue boat" in other.embedded
