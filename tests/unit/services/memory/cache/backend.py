"""What is slow, and everybody caches."""

from __future__ import annotations

import asyncio

from tandem.memory.v1 import cache_entry_pb2 as nouns
from tandem.memory.v1 import cache_service_pb2 as pb
from tandem.memory.v1 import cache_service_pb2_grpc as rpc
from tests.unit.services.memory.cache.asking import URGENT, get, put

CALLERS = 200


class Backend:
    """What everybody caches: slow, and it counts who asks."""

    def __init__(self) -> None:
        self.calls = 0
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def answer(self) -> bytes:
        self.calls += 1
        self.asked.set()
        await self.may_answer.wait()
        return b"answer"

    async def answers(self, *stubs: rpc.CacheServiceAsyncStub) -> list[bytes]:
        """Of a caller of each, all on their way before the first is answered."""

        async def open_up() -> None:
            # Behind all of them: the loop takes turns.
            await self.asked.wait()
            await use(stubs[0])
            self.may_answer.set()

        *found, _ = await asyncio.gather(*(self.through(one) for one in stubs), open_up())
        return [one for one in found if one is not None]

    async def through(self, stub: rpc.CacheServiceAsyncStub, key: str = "k") -> bytes:
        """As every caller does."""
        found = await get(stub, key)
        if found.HasField("lease"):
            value = await self.answer()
            await put(stub, key, value, lease=found.lease.token)
            return value
        return found.entry.value


async def use(stub: rpc.CacheServiceAsyncStub) -> nouns.CacheUse:
    request = pb.GetCacheUseRequest(namespace="default")
    (told,) = (await stub.GetCacheUse(request, metadata=URGENT)).uses
    return told
