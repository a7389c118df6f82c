"""Each strategy and restart rule, on a clock that only the test moves."""

from __future__ import annotations

import asyncio

import pytest

from tandemkit.core.errors import Bug
from tandemkit.supervise.children import Restart, task
from tandemkit.supervise.policy import Policy, Strategy
from tandemkit.supervise.reports import (
    Asked,
    Cancelled,
    Happening,
    NotReady,
    Raised,
    Returned,
    Sibling,
)
from tandemkit.supervise.supervisor import (
    ChildExists,
    Supervisor,
    supervising,
)
from tests.unit.tandemkit.supervise.planted_children import Puppet, Stage, policy

ANN = Asked("ann", "new model")


async def test_children_start_in_order_and_stop_in_reverse() -> None:
    """Each behind the one before it, as it says that it is ready."""
    stage = Stage("a", "b", "c")
    stage["a"].is_slow = True
    async with stage.playing(policy()):
        assert stage.took_down() == "+a"
        stage["a"].get_ready()
        await stage.settle()
        assert stage.took_down() == "+b +c"
    assert stage.took_down() == "-c -b -a"


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, "-b +b"),
        (Strategy.REST_FOR_ONE, "-b -c +b +c"),
        (Strategy.ONE_FOR_ALL, "-b -c -a +a +b +c"),
    ],
)
async def test_who_falls_with_a_failed_child(strategy: Strategy, expected: str) -> None:
    """Stopped in reverse, and started again in order once the wait is over."""
    stage = Stage("a", "b", "c")
    async with stage.playing(policy(strategy)):
        stage.took_down()
        stage["b"].fail()
        await stage.clock.advance(0.9)
        assert "+b" not in stage.diary
        await stage.clock.advance(0.1)
        assert stage.took_down() == expected
        assert stage.alive == {"a", "b", "c"}


async def test_those_behind_wait_for_one_that_they_need() -> None:
    """In a row of needs nothing starts before what stands before it is up again."""
    stage = Stage("a", "b", "c")
    async with stage.playing(policy(Strategy.REST_FOR_ONE)):
        stage["a"].is_slow = True
        stage["a"].fail()
        await stage.clock.advance(5)
        assert stage.alive == {"a"}
        stage["a"].get_ready()
        await stage.settle()
        assert stage.alive == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("restart", "ends", "comes_back"),
    [
        (Restart.ALWAYS, Puppet.finish, True),
        (Restart.ALWAYS, Puppet.fail, True),
        (Restart.ON_FAILURE, Puppet.finish, False),
        (Restart.ON_FAILURE, Puppet.fail, True),
        (Restart.NEVER, Puppet.finish, False),
        (Restart.NEVER, Puppet.fail, False),
    ],
)
async def test_a_child_comes_back_as_its_rule_says(
    restart: Restart, ends: object, comes_back: bool
) -> None:
    """Always, when it failed, or never."""
    stage = Stage("a")
    async with stage.playing(policy(), stage["a"].child(restart)) as supervisor:
        assert callable(ends)
        ends(stage["a"])
        await stage.clock.advance(1)
        assert stage["a"].is_alive is comes_back
        # What is done may be asked for again; what never comes back is forgotten.
        assert bool(supervisor.children()) is (restart is not Restart.NEVER)


async def test_a_temporary_child_that_falls_with_another_is_not_started_again() -> None:
    """Its one life is over, whoever ended it."""
    stage = Stage("a", "b")
    children = stage["a"].child(), stage["b"].child(Restart.NEVER)
    async with stage.playing(policy(Strategy.ONE_FOR_ALL), *children):
        stage["a"].fail()
        await stage.clock.advance(1)
        assert stage.alive == {"a"}


async def test_waits_double_and_are_forgiven_after_a_stable_time() -> None:
    """A child that fails again soon waits longer, one that was well for long does not."""
    stage = Stage("a")
    async with stage.playing(policy(restarts_max=6, window_s=300)):
        for wait_s in (1, 2, 4, 4):
            stage["a"].fail()
            await stage.clock.advance(wait_s - 0.5)
            assert not stage["a"].is_alive
            await stage.clock.advance(0.5)
            assert stage["a"].is_alive
        await stage.clock.advance(30)
        stage["a"].fail()
        await stage.clock.advance(1)
        assert stage["a"].is_alive


async def test_a_start_that_fails_counts_as_a_failure() -> None:
    """Those behind wait through it; the reason is in the record, with what caused it."""
    stage = Stage("a", "b")
    broken = ValueError("no model")
    broken.__cause__ = OSError("no file")
    stage["a"].fails_at_start = [broken]
    async with stage.playing(policy()) as supervisor:
        assert stage.took_down() == "+a -a"
        assert supervisor.children()[0].failures == 1
        await stage.clock.advance(1)
        assert stage.took_down() == "+a +b"
    (cause,) = stage.kept.causes("top/a", Happening.FAILED)
    assert isinstance(cause, Raised)
    assert [(one.kind, one.message) for one in cause.chain] == [
        ("ValueError", "no model"),
        ("OSError", "no file"),
    ]
    assert cause.chain[0].where.startswith("tests.unit.tandemkit.supervise.planted_children:")


async def test_one_that_is_not_ready_in_time_is_started_anew() -> None:
    """It is stopped first, and what it says afterwards is not heard."""
    stage = Stage("a")
    stage["a"].is_slow = True
    async with stage.playing(policy(), stage["a"].child(ready_within_s=3)) as supervisor:
        await stage.clock.advance(4)
        assert stage.took_down() == "+a -a +a"
        assert stage.kept.causes("top/a", Happening.RESTARTING) == [NotReady(3)]
        assert supervisor.children()[0].state == "starting"


async def test_every_restart_is_reported_with_its_cause() -> None:
    """Also those that a sibling caused, and those that somebody asked for."""
    stage = Stage("a", "b")
    async with stage.playing(policy(Strategy.REST_FOR_ONE)) as supervisor:
        stage["a"].finish()
        await stage.clock.advance(1)
        await supervisor.restart("b", ANN)
    restarts = Happening.RESTARTING
    assert stage.kept.causes("top/a", restarts) == [Returned()]
    assert stage.kept.causes("top/b", restarts) == [Sibling("a"), ANN]
    assert stage.kept.causes("top/b", Happening.STOPPED)[0] == Cancelled()


async def test_many_start_and_stop_together_within_a_bound() -> None:
    """Where none needs another, and never more than so many."""
    stage = Stage(*"abcdef")
    for name in "abcdef":
        stage[name].is_slow = True
    async with stage.playing(policy(together=2)):
        assert stage.took_down() == "+a +b"
        stage["b"].get_ready()
        await stage.settle()
        assert stage.took_down() == "+c"
        for name in "acde":
            stage[name].get_ready()
            await stage.settle()
        assert stage.took_down() == "+d +e +f"
    assert stage.took_down() == "-f -e -d -c -b -a"


async def test_a_cancellation_by_a_stranger_is_a_failure() -> None:
    """A child that nobody asked to stop comes back."""
    stage = Stage("a")

    async def give_way() -> None:
        if stage["a"].lives:
            await asyncio.Event().wait()
        stage["a"].lives = 1
        raise asyncio.CancelledError

    async with stage.playing(policy(), task("a", give_way)) as supervisor:
        await stage.clock.advance(1)
        assert supervisor.children()[0].state == "up"
    assert stage.kept.causes("top/a", Happening.FAILED) == [Cancelled()]


async def test_a_sink_that_fails_harms_no_child(caplog: pytest.LogCaptureFixture) -> None:
    """The log says that a report was lost."""

    class Full:
        def take(self, report: object) -> None:
            raise OSError("disk full")

    stage = Stage("a")
    stage.means = type(stage.means)(stage.clock, Full(), lambda: 0.0)
    async with stage.playing(policy()):
        stage["a"].fail()
        await stage.clock.advance(1)
        assert stage["a"].is_alive
    assert "child.unreported" in {one.message for one in caplog.records}


def test_children_that_need_each_other_start_one_by_one() -> None:
    """A bound above one is for those that do not."""
    with pytest.raises(Bug):
        Policy(Strategy.REST_FOR_ONE, together=2)


def test_two_children_of_one_name_are_refused() -> None:
    """A report would not say which."""
    with pytest.raises(ChildExists):
        Supervisor("top", (Stage("a")["a"].child(), Stage("a")["a"].child()))


async def test_without_a_clock_of_a_test_it_goes_by_the_machines() -> None:
    """The defaults make a supervisor that works."""
    seen: list[int] = []
    again = asyncio.Event()

    async def work() -> None:
        seen.append(1)
        if len(seen) == 2:
            again.set()
            await asyncio.Event().wait()
        raise OSError

    async with supervising(Supervisor("top", [task("a", work)])):
        await again.wait()
