"""What is deleted by its subject, as who reads the files of the server finds it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tandem.fleet.v1.state_pb2 import StateStore
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_pb2 as nouns
from tandem.memory.v1 import subject_pb2 as subjects
from tests.cluster.eventually import eventually
from tests.cluster.remnants import Remnants
from tests.contract.memory.replicas import Stub, replica, store

WORD = "Zwölfuhrblatt9731"


async def _add(stub: Stub, memory_id: str, subject: str, text: str) -> None:
    memory = nouns.Memory(text=text, subjects=[subject])
    await stub.AddMemory(pb.AddMemoryRequest(memory_id=memory_id, memory=memory))


async def _planted(stub: Stub) -> None:
    """Between others, so that they share pages."""
    for number in range(20):
        await _add(stub, f"a{number}", WORD, f"{number} times {WORD} wound the clock.")
        await _add(stub, f"b{number}", "Grace", f"{number} times somebody else wound the clock.")


async def _deleted(stub: Stub) -> subjects.DeleteSubjectResponse:
    return await stub.DeleteSubject(subjects.DeleteSubjectRequest(subject=WORD))


async def test_postgresql_has_nothing_of_a_deleted_subject_in_the_files_of_its_tables(
    tmp_path: Path,
) -> None:
    """Where VACUUM alone would leave it; what a transaction from before still sees stays, and what
    the log has, and both are said.
    """
    search = Remnants(WORD)
    async with store("postgres", tmp_path) as chosen, replica(tmp_path, chosen) as stub:
        dsn = await asyncio.to_thread(Path(chosen.postgres.dsn_file).read_text)
        tables = Path(str(conninfo_to_dict(dsn)["host"])) / "state" / "base"
        await _planted(stub)
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as database:
            await database.execute("CHECKPOINT")
            assert search.below(tables)
            async with await psycopg.AsyncConnection.connect(dsn) as reader:
                await reader.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
                await reader.execute("SELECT count(*) FROM pg_class")
                seen = await _deleted(stub)
            await database.execute("CHECKPOINT")
            assert (seen.deleted, "VACUUM FULL" in seen.remains[0]) == (20, True)
            assert search.below(tables)
            done = await _deleted(stub)
            await database.execute("CHECKPOINT")
        assert search.below(tables) == set()
        assert len(done.remains) == 1
        assert "write-ahead log" in done.remains[0]
        assert "VACUUM" not in done.remains[0]
        kept = await stub.ListMemories(pb.ListMemoriesRequest())
        assert len(kept.memories) == 20


async def test_redis_has_nothing_of_a_deleted_subject_once_its_file_is_rewritten(
    tmp_path: Path,
) -> None:
    """Which the deletion has begun."""
    search = Remnants(WORD)
    async with store("redis", tmp_path) as chosen, replica(tmp_path, chosen) as stub:
        folder = _folder(chosen)

        async def left() -> set[str]:
            return search.below(folder)

        await _planted(stub)
        assert await left()
        done = await _deleted(stub)
        assert done.deleted == 20
        assert "is rewriting" in done.remains[0]
        await eventually(left, lambda found: not found)


def _folder(chosen: StateStore) -> Path:
    return Path(chosen.redis.address.removeprefix("unix:")).parent
