"""One round of a deletion: all that have not confirmed in it are asked, and what they say is noted.

docs/design/tenancy.md says why there are two.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from services.memory.namespace.keepers import Keeper, Keepers
from tandem.memory.v1 import deletion_pb2 as nouns
from tandem.memory.v1 import subject_pb2 as pb
from tandemkit.core.clock import Clock
from tandemkit.hosting.replicas import Unanswered

_AT_ONCE_MAX = 4
_ROUND = {nouns.DELETION_STATE_DELETING: 1, nouns.DELETION_STATE_CONFIRMING: 2}


@dataclass(frozen=True, slots=True)
class Heard:
    """What keepers said, those too that had confirmed before."""

    standings: dict[Keeper, nouns.KeeperStanding]
    remains: set[str]

    def note(self, deletion: nouns.Deletion) -> None:
        """The next round begins when all have confirmed; the excused do not count."""
        excused = {Keeper.of(one) for one in deletion.keepers if one.excused}
        del deletion.keepers[:]
        for keeper in sorted(self.standings):
            one = deletion.keepers.add()
            one.CopyFrom(self.standings[keeper])
            one.excused = one.excused or keeper in excused
        deletion.remains[:] = sorted(self.remains)
        if not waiting_in(deletion):
            deletion.state = nouns.DELETION_STATE_CONFIRMING


async def asked(deletion: nouns.Deletion, keepers: Keepers, clock: Clock) -> Heard:
    """Raises Untold, and what the store raises."""
    known = await keepers.known()
    standings = {Keeper.of(one): one for one in deletion.keepers}
    for keeper in known:
        standings.setdefault(keeper, keeper.standing())
    request = pb.DeleteSubjectRequest(
        namespace=deletion.namespace,
        subject=deletion.subject,
        mentions=deletion.mentions,
        whole_namespace=deletion.whole_namespace,
    )
    heard, room = Heard(standings, set(deletion.remains)), asyncio.Semaphore(_AT_ONCE_MAX)

    async def ask(keeper: Keeper, standing: nouns.KeeperStanding) -> None:
        try:
            async with room:
                said = await keepers.delete(known.get(keeper, []), request)
        except Unanswered as error:
            standing.cause = error.message
            return
        standing.cause, standing.confirmations = "", _ROUND[deletion.state]
        standing.deleted += said.deleted
        standing.confirm_time.FromDatetime(clock.now())
        heard.remains.update(said.remains)

    round_ = _ROUND[deletion.state]
    await asyncio.gather(
        *(ask(keeper, one) for keeper, one in standings.items() if _is_awaited(one, round_))
    )
    return heard


def waiting_in(deletion: nouns.Deletion) -> list[nouns.KeeperStanding]:
    """Those that have not confirmed in the round that it is in."""
    round_ = _ROUND.get(deletion.state, 0)
    return [one for one in deletion.keepers if _is_awaited(one, round_)]


def _is_awaited(standing: nouns.KeeperStanding, round_: int) -> bool:
    return standing.confirmations < round_ and not standing.excused
