"""Random failures and requests against a model of what must be running, for each strategy."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tandemkit.supervise.children import Restart
from tandemkit.supervise.errands import Errands
from tandemkit.supervise.policy import Strategy
from tandemkit.supervise.reports import Asked, Happening
from tandemkit.supervise.ward import Escalated
from tests.unit.tandemkit.supervise.planted_children import Puppet, Stage, policy
from tests.unit.tandemkit.supervise.supervision_model import (
    RESTARTS_MAX,
    SETTLED_S,
    STABLE_S,
    WINDOW_S,
    Model,
)

NAMES = "abcd"
ASKED = Asked("model")
names = st.sampled_from(NAMES)
# Of those that are in question, as many as there are.
places = st.integers(0, 3)
restarts = st.sampled_from(Restart)
still_there = precondition(lambda machine: not machine.model.has_given_up)


class Supervised(RuleBasedStateMachine):
    """One supervisor of up to four puppets. A step is over when time has passed for all waits."""

    strategy = Strategy.ONE_FOR_ONE

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stage = Stage()
        self.model = Model(self.strategy)

    def within(self, work: Coroutine[Any, Any, object]) -> None:
        self.loop.run_until_complete(work)

    @property
    def now_s(self) -> float:
        return self.stage.clock.monotonic_s()

    @initialize(chosen=st.lists(restarts, min_size=2, max_size=4))
    def begin(self, chosen: list[Restart]) -> None:
        children = []
        for name, restart in zip(NAMES, chosen, strict=False):
            self.stage.puppets[name] = Puppet(name, self.stage.diary)
            self.model.put(name, restart, 0.0)
            children.append(self.stage[name].child(restart))
        said = policy(
            self.strategy, restarts_max=RESTARTS_MAX, window_s=WINDOW_S, stable_s=STABLE_S
        )
        self.supervisor = self.stage.supervisor(said, *children)
        self.within(self.start())

    async def start(self) -> None:
        self.running = Errands().start(self.supervisor.run())
        await self.stage.settle()

    @still_there
    @rule(place=places, starts_to_fail=st.integers(0, 2))
    def fail(self, place: int, starts_to_fail: int) -> None:
        """The starts behind a failure may fail too."""
        self.end(place, finishes=False, starts_to_fail=starts_to_fail)

    @still_there
    @rule(place=places)
    def finish(self, place: int) -> None:
        self.end(place, finishes=True, starts_to_fail=0)

    @still_there
    @rule(first=places, second=places)
    def fail_in_turn(self, first: int, second: int) -> None:
        """One behind the other, as a broken neighbourhood does."""
        self.end(first, finishes=False, starts_to_fail=0)
        if not self.model.has_given_up:
            self.end(second, finishes=False, starts_to_fail=0)

    def end(self, place: int, *, finishes: bool, starts_to_fail: int) -> None:
        up = [name for name, one in self.model.children.items() if one.is_up]
        if not up:
            return
        name = up[place % len(up)]
        puppet = self.stage[name]
        if self.model.children[name].comes_back(finishes=finishes):
            puppet.fails_at_start = [OSError("no start") for _ in range(starts_to_fail)]
        self.model.end(name, self.now_s, finishes=finishes, starts_to_fail=starts_to_fail)
        (puppet.finish if finishes else puppet.fail)()
        self.within(self.stage.clock.advance(SETTLED_S))

    @still_there
    @rule(name=names, restart=restarts)
    def add(self, name: str, restart: Restart) -> None:
        if name not in self.model.children:
            puppet = self.stage.puppets.setdefault(name, Puppet(name, self.stage.diary))
            puppet.lives = 0
            self.model.put(name, restart, self.now_s)
            self.within(self.supervisor.add(puppet.child(restart), ASKED))

    @still_there
    @rule(name=names)
    def remove(self, name: str) -> None:
        if self.model.children.pop(name, None) is not None:
            self.within(self.supervisor.remove(name, ASKED))

    @still_there
    @rule(name=names)
    def restart(self, name: str) -> None:
        if name in self.model.children:
            self.model.restart(name, self.now_s)
            self.within(self.supervisor.restart(name, ASKED))
            self.within(self.stage.settle())

    @still_there
    @rule(name=names)
    def suspend(self, name: str) -> None:
        if name in self.model.children:
            self.model.suspend(name)
            self.within(self.supervisor.suspend(name, ASKED))

    @still_there
    @rule(place=places)
    def resume(self, place: int) -> None:
        down = [name for name, one in self.model.children.items() if one.is_suspended]
        if down:
            name = down[place % len(down)]
            self.model.resume(name, self.now_s)
            self.within(self.supervisor.resume(name, ASKED))

    @rule(passes_s=st.sampled_from([1.0, 20.0, 70.0]))
    def wait(self, passes_s: float) -> None:
        self.within(self.stage.clock.advance(passes_s))

    @invariant()
    def what_must_run_runs(self) -> None:
        if self.model.has_given_up:
            assert self.stage.alive == set()
            assert isinstance(self.running.exception(), Escalated)
            return
        expected = self.model.children
        assert self.stage.alive == {name for name, one in expected.items() if one.is_up}
        assert {name: self.stage[name].lives for name in expected} == {
            name: one.lives for name, one in expected.items()
        }

    @invariant()
    def every_restart_has_a_cause(self) -> None:
        for report in self.stage.kept.reports:
            if report.happening in (Happening.RESTARTING, Happening.FAILED, Happening.STOPPED):
                assert report.cause is not None

    def teardown(self) -> None:
        self.running.cancel()
        self.within(self.stage.clock.advance(SETTLED_S))
        assert self.stage.alive == set()
        self.loop.close()


class RestSupervised(Supervised):
    strategy = Strategy.REST_FOR_ONE


class AllSupervised(Supervised):
    strategy = Strategy.ONE_FOR_ALL


@pytest.mark.parametrize("machine", [Supervised, RestSupervised, AllSupervised])
def test_what_must_run_runs_after_any_row_of_failures_and_requests(
    machine: type[Supervised],
) -> None:
    """And was started exactly as often as the strategy says, until the supervisor gives up."""
    said = settings(max_examples=100, stateful_step_count=30, deadline=None)
    run_state_machine_as_test(machine, settings=said)
