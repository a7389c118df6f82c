"""Elections in Consul: the winner's token is the Raft index at which its term was written."""

from __future__ import annotations

from contextlib import suppress

from tandemkit.registry.consul_kv import Conflict, ConsulKv, operation, version_is, write
from tandemkit.registry.consul_liveness import Liveness, beat
from tandemkit.registry.protocol import Leadership, LeadershipLost

_BEATS = "alive/beats/"
_TERMS = "terms/"


def still_leads(leadership: Leadership) -> dict[str, object]:
    """The check that goes before a leader's write, into the same transaction."""
    return version_is(f"{_TERMS}{leadership.election}", leadership.token)


class ConsulElections:
    """A row says who leads, another one that it still does. No lock and no session: they would
    hold an election for 10 to 20 s after its leader died, and carry no number to fence with.
    """

    def __init__(self, kv: ConsulKv, liveness: Liveness) -> None:
        self._kv = kv
        self._liveness = liveness

    async def elect(self, election: str, candidate: str, ttl_s: float) -> Leadership | None:
        term_key, beat_key = f"{_TERMS}{election}", f"{_BEATS}{election}"
        term = await self._kv.get(term_key)
        operations = [write("cas", term_key, candidate.encode(), Index=term.version if term else 0)]
        if term is not None and term.value not in {b"", candidate.encode()}:
            beat_row = await self._kv.get(beat_key)
            if beat_row is not None:
                self._liveness.take_one(beat_row)
                if self._liveness.lapsed(beat_key) != beat_row.version:
                    return None
            # Not over a leader who kept it in this moment.
            operations.append(version_is(beat_key, beat_row.version if beat_row else 0))
        operations.append(write("set", beat_key, beat(ttl_s)))
        try:
            versions = await self._kv.commit(operations)
        except Conflict:
            return None
        self._liveness.hear(beat_key, versions[-1], ttl_s)
        return Leadership(election, candidate, versions[0], ttl_s)

    async def keep(self, leadership: Leadership) -> None:
        beat_key = f"{_BEATS}{leadership.election}"
        again = write("set", beat_key, beat(leadership.ttl_s))
        try:
            versions = await self._kv.commit([still_leads(leadership), again], again=True)
        except Conflict as error:
            raise LeadershipLost(leadership.election) from error
        self._liveness.hear(beat_key, versions[-1], leadership.ttl_s)

    async def resign(self, leadership: Leadership) -> None:
        name = leadership.election
        # The row stays, empty and with a new version, so that the old token is none any more.
        vacant = write("cas", f"{_TERMS}{name}", b"", Index=leadership.token)
        with suppress(Conflict):
            gone = operation("delete", f"{_BEATS}{name}")
            await self._kv.commit([vacant, gone], again=True)
