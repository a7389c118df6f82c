"""The embedded registry against a model that is too simple to be wrong: any calls in any order,
with time passing and kills in between.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tandemkit.registry.protocol import (
    Leadership,
    LeadershipLost,
    Lease,
    LeaseLost,
    Snapshot,
    VersionConflict,
    Versioned,
)
from tests.contract.registry.embedded_case import EmbeddedCase

T = TypeVar("T")

KEYS = st.sampled_from(["a", "a/b", "b"])
OWNERS = st.sampled_from(["host-a", "host-b", "host-c"])
VALUES = st.binary(max_size=2)
TTLS_S = st.sampled_from([2.0, 5.0, 60.0])


class OnEmbedded(RuleBasedStateMachine):
    """Runs each step to its end in a loop of its own, on files of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = tempfile.TemporaryDirectory(prefix="tandem-")
        self._stack = AsyncExitStack()
        self.case = EmbeddedCase(Path(self._folder.name), self._stack)
        self.now_s = 0.0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    @initialize()
    def begin(self) -> None:
        self.registry = self.run(self.case.open())

    def kill(self) -> None:
        self.run(self.case.kill_and_restart())
        self.registry = self.run(self.case.open())

    def pass_time(self, duration_s: float) -> None:
        self.run(self.case.clock.sleep(duration_s))
        self.now_s += duration_s

    def teardown(self) -> None:
        self.run(self._stack.aclose())
        self._runner.close()
        self._folder.cleanup()


class Writes(OnEmbedded):
    """Versions and tokens: dictionaries of what the writers were told."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[str, Versioned] = {}
        self.version = 0
        self.token = 0
        self.known: list[Leadership] = []
        self.leader: Leadership | None = None
        self.deadline_s = 0.0

    @rule(key=KEYS, value=VALUES)
    def put(self, key: str, value: bytes) -> None:
        self.wrote(key, value, self.run(self.registry.put(key, value)))

    @rule(key=KEYS, value=VALUES, guess=st.integers(0, 3), as_leader=st.booleans())
    def put_checked(self, key: str, value: bytes, guess: int, as_leader: bool) -> None:
        leadership = self.known[guess % len(self.known)] if as_leader and self.known else None
        expected = self.version_of(key) if guess else self.version
        write = self.registry.put(key, value, expected=expected, leadership=leadership)
        if leadership and leadership.token != self.token:
            self.refused(write, LeadershipLost)
        elif expected != self.version_of(key):
            self.refused(write, VersionConflict)
        else:
            self.wrote(key, value, self.run(write))

    @rule(key=KEYS, is_right=st.booleans())
    def delete_checked(self, key: str, is_right: bool) -> None:
        version = self.version_of(key)
        deletion = self.registry.delete(key, expected=version if is_right else version + 1)
        if is_right:
            self.run(deletion)
            self.stored.pop(key, None)
        else:
            self.refused(deletion, VersionConflict)

    @rule(candidate=OWNERS, ttl_s=TTLS_S)
    def elect(self, candidate: str, ttl_s: float) -> None:
        elected = self.run(self.registry.elect("planner", candidate, ttl_s))
        is_led = self.leader is not None and self.now_s < self.deadline_s
        if is_led and self.leader and self.leader.candidate != candidate:
            assert elected is None
        else:
            assert elected is not None
            assert elected.token > self.token
            self.token = elected.token
            self.leader, self.deadline_s = elected, self.now_s + ttl_s
            self.known.append(elected)

    @precondition(lambda self: self.known)
    @rule(which=st.integers(0, 9))
    def keep(self, which: int) -> None:
        leadership = self.known[which % len(self.known)]
        if leadership == self.leader and self.now_s < self.deadline_s:
            self.run(self.registry.keep(leadership))
            self.deadline_s = self.now_s + leadership.ttl_s
        else:
            self.refused(self.registry.keep(leadership), LeadershipLost)

    @precondition(lambda self: self.known)
    @rule(which=st.integers(0, 9))
    def resign(self, which: int) -> None:
        leadership = self.known[which % len(self.known)]
        self.run(self.registry.resign(leadership))
        if leadership == self.leader:
            self.leader = None

    @rule(duration_s=st.sampled_from([1.0, 2.0, 5.0, 60.0]))
    def wait(self, duration_s: float) -> None:
        self.pass_time(duration_s)

    @rule()
    def kill_and_restart(self) -> None:
        self.kill()
        if self.leader:
            self.deadline_s = self.now_s + self.leader.ttl_s

    @invariant()
    def reads_what_was_written(self) -> None:
        """Every key, after every step."""
        for key in ("a", "a/b", "b"):
            assert self.run(self.registry.get(key)) == self.stored.get(key)

    def version_of(self, key: str) -> int:
        return self.stored[key].version if key in self.stored else 0

    def wrote(self, key: str, value: bytes, version: int) -> None:
        assert version > self.version
        self.version = version
        self.stored[key] = Versioned(value, version)

    def refused(self, work: Coroutine[Any, Any, object], reason: type[Exception]) -> None:
        try:
            self.run(work)
        except reason:
            return
        raise AssertionError(f"{reason.__name__} was due")


class Registrations(OnEmbedded):
    """Leases: the model is a list in the order of opening, with deadlines."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Lease] = []
        self.deadlines_s: dict[str, float] = {}
        self.held: dict[str, tuple[Lease, bytes]] = {}

    @rule(owner=OWNERS, ttl_s=TTLS_S)
    def open(self, owner: str, ttl_s: float) -> None:
        for older in self.all:
            if older.owner == owner:
                self.ended(older)
        self.all.append(self.run(self.registry.open_lease(owner, ttl_s)))
        self.deadlines_s[self.all[-1].id] = self.now_s + ttl_s

    @precondition(lambda self: self.all)
    @rule(which=st.integers(0, 9))
    def renew(self, which: int) -> None:
        lease = self.all[which % len(self.all)]
        if self.tell(lease, self.registry.renew(lease)):
            self.deadlines_s[lease.id] = self.now_s + lease.ttl_s

    @precondition(lambda self: self.all)
    @rule(which=st.integers(0, 9), key=KEYS, value=VALUES)
    def register(self, which: int, key: str, value: bytes) -> None:
        lease = self.all[which % len(self.all)]
        holder = self.held.get(key)
        is_alive = self.tell(lease, self.registry.register(lease, key, value))
        if is_alive and (not holder or self.all.index(holder[0]) <= self.all.index(lease)):
            self.held[key] = (lease, value)

    @precondition(lambda self: self.all)
    @rule(which=st.integers(0, 9), key=KEYS)
    def deregister(self, which: int, key: str) -> None:
        lease = self.all[which % len(self.all)]
        self.run(self.registry.deregister(lease, key))
        if key in self.held and self.held[key][0] == lease:
            del self.held[key]

    @precondition(lambda self: self.all)
    @rule(which=st.integers(0, 9))
    def close(self, which: int) -> None:
        lease = self.all[which % len(self.all)]
        self.run(self.registry.close_lease(lease))
        self.ended(lease)

    @rule(duration_s=st.sampled_from([1.0, 2.0, 5.0, 60.0]))
    def wait(self, duration_s: float) -> None:
        self.pass_time(duration_s)
        for lease in self.all:
            if self.deadlines_s.get(lease.id, self.now_s + 1) <= self.now_s:
                self.ended(lease)

    @rule()
    def kill_and_restart(self) -> None:
        self.kill()
        for lease in self.all:
            if lease.id in self.deadlines_s:
                self.deadlines_s[lease.id] = self.now_s + lease.ttl_s

    @invariant()
    def shows_what_is_registered(self) -> None:
        """A watch that begins now, after every step."""
        found = self.run(self.snapshot())
        seen = {entry.key: (entry.owner, entry.value) for entry in found.entries}
        assert seen == {key: (lease.owner, value) for key, (lease, value) in self.held.items()}

    async def snapshot(self) -> Snapshot:
        watch = self.registry.watch()
        first = await anext(watch)
        await watch.aclose()
        assert isinstance(first, Snapshot)
        return first

    def tell(self, lease: Lease, work: Coroutine[Any, Any, None]) -> bool:
        """Whether the lease lives, as the registry and the model agree."""
        try:
            self.run(work)
        except LeaseLost:
            assert lease.id not in self.deadlines_s
            return False
        assert lease.id in self.deadlines_s
        return True

    def ended(self, lease: Lease) -> None:
        self.deadlines_s.pop(lease.id, None)
        self.held = {key: one for key, one in self.held.items() if one[0] != lease}


_STEPS = settings(max_examples=60, stateful_step_count=40)
TestWrites = Writes.TestCase
TestWrites.settings = _STEPS
TestRegistrations = Registrations.TestCase
TestRegistrations.settings = _STEPS
