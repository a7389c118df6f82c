"""Catalogue row M050: the link between the client of memories and the orchestrator is cut, and the
client is killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from tandem.memory.v1 import memory_client_service_pb2 as pb
from tandem.memory.v1 import memory_orchestrator_service_pb2 as asked
from tandem.memory.v1.memory_pb2 import Memory
from tandemkit.core.clock import SystemClock
from tests.cluster.aloud import Tell
from tests.cluster.cut_memory import CutMemory, cut_memory
from tests.cluster.eventually import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]
_CLOCK = SystemClock()
_WRITERS, _PAUSE_S = 8, 0.05
_CUT_S, _BESIDE_S, _JOURNALING_S = 10.0, 1.5, 3.0
_JOURNALED = pb.WRITE_STANDING_JOURNALED


@pytest.fixture
async def fleet() -> AsyncIterator[CutMemory]:
    async with cut_memory() as found:
        await eventually(lambda: wrote(found.client), lambda it: it == pb.WRITE_STANDING_STORED)
        yield found


async def wrote(client: Any) -> int:
    """Where a write goes now."""
    added = await client.AddMemory(asked.AddMemoryRequest(memory=Memory(text="is it there?")))
    return int(added.standing)


@dataclass
class Histories:
    """What was acknowledged of each memory: its texts in their order, None for a deletion."""

    acknowledged: dict[str, list[str | None]] = field(default_factory=dict)
    # Asked for last, and not answered.
    open: dict[str, str | None] = field(default_factory=dict)
    journaled: int = 0
    slowest_s: float = 0.0

    @property
    def count(self) -> int:
        return sum(map(len, self.acknowledged.values()))

    def lost(self, found: list[Memory]) -> list[str]:
        """Memories that are not as they were acknowledged, or as the open write leaves them."""
        texts = {one.name.rpartition("/")[2]: one.text for one in found}
        return [
            name
            for name, said in self.acknowledged.items()
            if texts.get(name) not in {said[-1], self.open.get(name, said[-1])}
        ]

    def doubled(self, found: list[Memory]) -> list[str]:
        """Memories with another number of changes than were asked for."""
        wrong = []
        for one in found:
            name = one.name.rpartition("/")[2]
            count = len(self.acknowledged.get(name, ()))
            if count and one.version not in {count, count + (name in self.open)}:
                wrong.append(name)
        return wrong


class Writer:
    """Adds memories, changes every second one and deletes every fifth."""

    def __init__(self, number: int, client: Any, histories: Histories) -> None:
        self._number, self._client, self._histories = number, client, histories
        self.is_over = False

    async def run(self) -> None:
        count = 0
        while not self.is_over:
            count += 1
            name = f"w{self._number}-{count}"
            text = f"{name} says one"
            add = asked.AddMemoryRequest(memory_id=name, memory=Memory(text=text))
            await self._done(name, text, self._client.AddMemory(add))
            full = f"namespaces/default/memories/{name}"
            if count % 2:
                changed = f"{name} says two"
                update = asked.UpdateMemoryRequest(name=full, memory=Memory(text=changed))
                update.update_mask.paths.append("text")
                update.expected_version = 1
                await self._done(name, changed, self._client.UpdateMemory(update))
            if not count % 5:
                delete = asked.DeleteMemoryRequest(name=full)
                await self._done(name, None, self._client.DeleteMemory(delete))
            await _CLOCK.sleep(_PAUSE_S)

    async def _done(self, name: str, text: str | None, call: Any) -> None:
        histories, began_s = self._histories, _CLOCK.monotonic_s()
        histories.open[name] = text
        answer = await call
        del histories.open[name]
        histories.acknowledged.setdefault(name, []).append(text)
        histories.journaled += answer.standing == _JOURNALED
        histories.slowest_s = max(histories.slowest_s, _CLOCK.monotonic_s() - began_s)


async def depth(client: Any) -> int:
    found = await client.GetJournal(pb.GetJournalRequest(), wait_for_ready=True)
    assert not found.standing.refused, found.entries
    return int(found.standing.depth)


async def test_m050_link_cut_and_healed_drains_the_journal_without_a_duplicate(
    fleet: CutMemory, tell: Tell
) -> None:
    """Packets are dropped for ten seconds while eight write: all that was acknowledged is there,
    once, in the order of each memory.
    """
    histories = Histories()
    writers = [Writer(one, fleet.client, histories) for one in range(_WRITERS)]
    async with asyncio.TaskGroup() as tasks:
        for one in writers:
            tasks.create_task(one.run())
        await _CLOCK.sleep(_BESIDE_S)
        await fleet.networks.cut()
        await _CLOCK.sleep(_CUT_S)
        journaled = await depth(fleet.client)
        await fleet.networks.heal()
        healed_s = _CLOCK.monotonic_s()
        await _CLOCK.sleep(_BESIDE_S)
        for one in writers:
            one.is_over = True
    await eventually(lambda: depth(fleet.client), lambda found: not found)
    drained_s = _CLOCK.monotonic_s() - healed_s
    found = await fleet.memories()
    lost, doubled = histories.lost(found), histories.doubled(found)
    tell("writes acknowledged", f"{histories.count}, of which journaled {histories.journaled}")
    tell("in the journal at the end of the cut", journaled)
    tell("slowest write", f"{histories.slowest_s * 1000:.0f} ms")
    tell("drained after the link healed", f"{drained_s:.1f} s")
    tell("lost, doubled", f"{len(lost)}, {len(doubled)}")
    assert histories.journaled > _WRITERS
    assert (lost, doubled) == ([], [])
    assert not histories.open


async def test_m050_a_client_that_is_killed_loses_and_doubles_nothing(
    fleet: CutMemory, tell: Tell
) -> None:
    """While it journals, and again while it drains."""
    histories = Histories()
    writers = [Writer(one, fleet.client, histories) for one in range(_WRITERS)]
    await fleet.networks.cut()

    async def kill() -> None:
        await _CLOCK.sleep(_JOURNALING_S)
        await fleet.kill_client()

    ends = await asyncio.gather(kill(), *(one.run() for one in writers), return_exceptions=True)
    assert all(isinstance(one, grpc.aio.AioRpcError) for one in ends[1:])
    await fleet.start_client()
    kept = await eventually(lambda: depth(fleet.client))
    await fleet.networks.heal()
    await eventually(lambda: depth(fleet.client), lambda found: found < kept)
    await fleet.kill_client()
    await fleet.start_client()
    await eventually(lambda: depth(fleet.client), lambda found: not found)
    found = await fleet.memories()
    lost, doubled = histories.lost(found), histories.doubled(found)
    tell("journaled before the kill", f"{histories.count}, kept {kept}")
    tell("lost, doubled", f"{len(lost)}, {len(doubled)}")
    assert (lost, doubled) == ([], [])
