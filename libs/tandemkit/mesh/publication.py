"""What is told at this moment: the newest configuration that passed its checks, by machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.mesh.catalogue import Catalogue
from tandemkit.mesh.past import Past
from tandemkit.mesh.policy import TrafficPolicy
from tandemkit.mesh.snapshot import Generation, Snapshot, generation
from tandemkit.mesh.validation import objections

COALESCE_S = 0.2
# A cluster that no route names any more is told for this long: whoever has not heard of the new
# routes still calls it.
RETIRED_S = 10.0
_OBJECTIONS_LOGGED_MAX = 5
_LOGGER = logging.getLogger("tandemkit.mesh")
_NO_POLICY = TrafficPolicy()


class Publication:
    """Takes whole states, at any rate, and tells the latest: the first one at once, then at most
    one in COALESCE_S. One that fails its checks is not told; `refused` says why, and the one before
    stays. Where that is the policy's fault, what is new of the fleet is told with `policy`, the
    last good one: a mistake of an operator must not hide which hosts are dead.

    Calls of a known agent go to a new cluster only with the telling after the one that made it
    known: gRPC for Go sends them there before it knows it, and they fail.
    """

    def __init__(self, clock: Clock) -> None:
        self.refused: tuple[str, ...] = ()
        # What is told: no catalogue before the first, and the last good policy.
        self.catalogue: Catalogue | None = None
        self.policy = _NO_POLICY
        self.past = Past(clock)
        self._clock = clock
        self._wanted: tuple[Catalogue, TrafficPolicy] | None = None
        self._asked = asyncio.Event()
        self._watchers: set[asyncio.Event] = set()
        self._told: Generation | None = None
        self._machines: frozenset[str] = frozenset()
        # By machine: of the last whole telling, and what is told now, which may foretell the next.
        self._whole: dict[str, Snapshot] = {}
        self._snapshots: dict[str, Snapshot] = {}
        self._foretold: tuple[Generation, frozenset[str]] | None = None
        self._retired_until_s: dict[str, float] = {}

    def publish(self, catalogue: Catalogue, policy: TrafficPolicy = _NO_POLICY) -> None:
        """Replaces whatever was published before, told or not."""
        self._wanted = (catalogue, policy)
        self._asked.set()

    async def run(self) -> None:
        """Tells what is published, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._tell()
            await self._clock.sleep(COALESCE_S)

    def on(self, machine: str) -> Snapshot | None:
        """What callers on `machine` are told; None before the first publication, when silence keeps
        what they know and an answer would take it from them.
        """
        machine = machine if machine in self._machines else ""
        if self._told is not None and machine not in self._snapshots:
            self._whole[machine] = self._told.on(machine)
            self._snapshots[machine] = self._foretelling(machine)
        return self._snapshots.get(machine)

    @contextmanager
    def watching(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever there is something new to tell."""
        event = asyncio.Event()
        event.set()
        self._watchers.add(event)
        try:
            yield event
        finally:
            self._watchers.discard(event)

    def _tell(self) -> None:
        assert self._wanted is not None
        catalogue, policy = self._wanted
        refused = self._try(catalogue, policy)
        if refused and policy != self.policy:
            self._try(catalogue, self.policy)
        if refused and refused != self.refused:
            why = refused[:_OBJECTIONS_LOGGED_MAX]
            log.event(_LOGGER, logging.ERROR, "mesh.refused", objections=why)
        self.refused = refused

    def _try(self, catalogue: Catalogue, policy: TrafficPolicy) -> tuple[str, ...]:
        """Tells it, unless there are objections, which it returns."""
        before, were = self._told, self._whole
        machines = frozenset(host.machine for host in catalogue.hosts)
        try:
            made = generation(catalogue, policy, before)
            now = {
                machine: made.on(machine, (before, were[machine]) if before else None)
                for machine in (were.keys() & machines) | {""}
            }
        except (ValueError, OverflowError) as error:
            # What has no place in a message, such as a share below zero.
            return (f"cannot be written: {error}",)
        found = tuple(
            said for machine, one in now.items() for said in objections(one, were.get(machine))
        )
        if found:
            return found
        new = made.unheard_of(before) if before else frozenset()
        if new and self._foretold is None:
            # The rest follows with the next telling, at the latest.
            self._foretold = (made, new)
            self._snapshots = {machine: self._foretelling(machine) for machine in now}
            self._asked.set()
        else:
            self.catalogue, self.policy = catalogue, policy
            self._told, self._machines = made, machines
            self._whole = self._with_retired(now, were)
            self._snapshots = dict(self._whole)
            self._foretold = None
            self.past.add(catalogue, policy, made.routes.version)
        for event in self._watchers:
            event.set()
        return ()

    def _foretelling(self, machine: str) -> Snapshot:
        """What `machine` is told now: with clusters to be known, if some are new."""
        whole = self._whole[machine]
        if self._foretold is None or self._told is None:
            return whole
        coming, names = self._foretold
        return whole.foretelling(coming.on(machine, (self._told, whole)), names)

    def _with_retired(
        self, now: Mapping[str, Snapshot], were: Mapping[str, Snapshot]
    ) -> dict[str, Snapshot]:
        """Adds clusters that are gone, as they were, while somebody may still call them."""
        if not were:
            return dict(now)
        moment_s = self._clock.monotonic_s()
        gone = were[""].clusters.by_name.keys() - now[""].clusters.by_name.keys()
        until_s = {name: self._retired_until_s.get(name, moment_s + RETIRED_S) for name in gone}
        self._retired_until_s = {one: end for one, end in until_s.items() if end > moment_s}
        kept = self._retired_until_s.keys()
        return {
            # A machine that was first heard of since then was never told of them.
            machine: one.keeping(kept & were[machine].clusters.by_name.keys(), were[machine])
            for machine, one in now.items()
        }
