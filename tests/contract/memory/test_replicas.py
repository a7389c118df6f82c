"""Catalogue row M049: two replicas on one store, and one that is killed."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import grpc
import pytest

from tandem.fleet.v1.state_pb2 import StateRedis, StateStore
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_pb2 as nouns
from tandem.platform.v1 import event_store_service_pb2 as events
from tandemkit.testing.agents import fake_agent
from tandemkit.testing.failures import failure_of
from tandemkit.testing.parts import short_folder
from tandemkit.testing.parts_storage import durable_redis_server
from tests.cluster.eventually import eventually
from tests.contract.memory.replicas import Stub, add, found, replica, store, victim

CODE = grpc.StatusCode
SHARED = pytest.mark.parametrize("kind", ["postgres", "redis"])


def name(memory_id: str) -> str:
    return f"namespaces/default/memories/{memory_id}"


@SHARED
async def test_m049_each_replica_answers_with_the_writes_of_the_other(kind: str) -> None:
    """At once, and never with what the other one deleted."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        chosen = await stack.enter_async_context(store(kind, folder))
        replicas = []
        for number in range(2):
            (own := folder / str(number)).mkdir()
            replicas.append(await stack.enter_async_context(replica(own, chosen)))
        for number in range(30):
            one, other = replicas[number % 2], replicas[1 - number % 2]
            await add(one, f"m{number}", f"unique{number} thing")
            assert await found(other, f"unique{number}") == [f"m{number}"]
            await other.DeleteMemory(pb.DeleteMemoryRequest(name=name(f"m{number}")))
            assert await found(one, f"unique{number}") == []


@SHARED
async def test_m049_one_of_two_facts_that_came_to_two_replicas_is_not_overlooked(
    kind: str,
) -> None:
    """Each sees the other, whichever was first."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        chosen = await stack.enter_async_context(store(kind, folder))
        replicas = []
        for number in range(2):
            (own := folder / str(number)).mkdir()
            replicas.append(await stack.enter_async_context(replica(own, chosen)))

        async def learn(number: int) -> None:
            fact = nouns.Fact(subject="Ann", predicate="is", object=f"at {number}")
            fact.is_functional = True
            memory = nouns.Memory(fact=fact)
            memory.valid_from.FromSeconds(1)
            await replicas[number % 2].AddMemory(pb.AddMemoryRequest(memory=memory))

        await asyncio.gather(*(learn(number) for number in range(8)))
        told = await replicas[0].QueryFacts(pb.QueryFactsRequest(subject="Ann"))
        assert [len(one.contradicts) for one in told.memories] == [7] * 8


@pytest.mark.cluster
@pytest.mark.parametrize("kind", ["postgres", "redis", "files"])
async def test_m049_a_killed_replica_loses_nothing_that_it_acknowledged(kind: str) -> None:
    """With kill -9 in the midst of writes, and all of it is found at the one that is left or that
    comes next.
    """
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        chosen = await stack.enter_async_context(store(kind, folder))
        (one := folder / "a").mkdir()
        acknowledged: list[str] = []
        async with victim(one, chosen) as first:
            writers = [_write(first.stub, number, acknowledged) for number in range(8)]
            writing = asyncio.gather(*writers)

            async def many() -> int:
                return len(acknowledged)

            await eventually(many, lambda count: count > 150)
            first.kill()
            await writing
        other = one if kind == "files" else folder / "b"
        other.mkdir(exist_ok=True)
        async with replica(other, chosen) as stub:
            for word in acknowledged:
                assert await found(stub, word) == [word]


async def _write(stub: Stub, writer: int, acknowledged: list[str]) -> None:
    """Until it hears nothing more."""
    number = 0
    while True:
        word = f"word{writer}x{number}"
        try:
            await add(stub, word, f"about {word} alone")
        except grpc.aio.AioRpcError:
            return
        acknowledged.append(word)
        number += 1


async def test_m049_r001_a_forced_failure_of_adding_is_reported_and_not_swallowed() -> None:
    """As UNAVAILABLE with a delay, unlike nothing found, and as an event that has no word of the
    text.
    """
    heard: list[events.AppendEventsRequest] = []

    async def keep(
        request: events.AppendEventsRequest, _context: object
    ) -> events.AppendEventsResponse:
        heard.append(request)
        return events.AppendEventsResponse()

    recorder = fake_agent(events.DESCRIPTOR, AppendEvents=keep)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        redis = await stack.enter_async_context(durable_redis_server())
        chosen = StateStore(redis=StateRedis(address=f"unix:{redis.socket}"))
        stub = await stack.enter_async_context(replica(folder, chosen, [recorder]))
        await add(stub, "a", "zweibrueggen")
        assert await found(stub, "nothing of that") == []
        await redis.kill()
        for call in (add(stub, "b", "zweibrueggen too"), found(stub, "zweibrueggen")):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call
            failed = failure_of(raised.value)
            assert (failed.code, failed.reason) == (CODE.UNAVAILABLE, "STORE_UNREACHABLE")
            assert failed.retry_after_s
        await redis.start()

        async def told() -> list[nouns.MemoryOperationFailed]:
            return [
                nouns.MemoryOperationFailed.FromString(event.content.content)
                for request in heard
                for event in request.events
            ]

        def both(known: list[nouns.MemoryOperationFailed]) -> bool:
            return {one.error for one in known} == {"add_memory_error", "search_memory_error"}

        known = await eventually(told, both)
        assert {one.reason for one in known} == {"STORE_UNREACHABLE"}
        assert not any(b"zweibr" in request.SerializeToString() for request in heard)
        await add(stub, "b", "zweibrueggen too")
        assert sorted(await found(stub, "zweibrueggen")) == ["a", "b"]
