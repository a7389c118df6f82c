"""When a supervisor gives up, what its parent then does, and what it leaves behind."""

from __future__ import annotations

import asyncio

import pytest

from tandemkit.core.errors import Bug
from tandemkit.supervise.children import Unmendable
from tandemkit.supervise.errands import Errands
from tandemkit.supervise.policy import Backoff, Policy
from tandemkit.supervise.reports import (
    Happening,
    NotReady,
)
from tandemkit.supervise.ward import Escalated
from tests.unit.tandemkit.supervise.planted_children import Stage, policy


async def test_too_many_failures_end_the_supervisor_and_its_children() -> None:
    """The fourth within the window is one too many; the cause is in what is raised."""
    stage = Stage("a", "b")
    with pytest.raises(ExceptionGroup) as raised:
        async with stage.playing(policy()):
            for wait_s in (1, 2, 4):
                stage["a"].fail()
                await stage.clock.advance(wait_s)
                assert stage["a"].is_alive
            stage["a"].fail(KeyError("the last"))
            await asyncio.Event().wait()
    (escalated,) = raised.value.exceptions
    assert isinstance(escalated, Escalated)
    assert isinstance(escalated.__cause__, KeyError)
    assert stage.alive == set()
    assert stage.kept.of("top") == [Happening.ESCALATED]


async def test_failures_that_are_far_apart_do_not_add_up() -> None:
    """What left the window is forgotten."""
    stage = Stage("a")
    async with stage.playing(policy()):
        for _ in range(8):
            stage["a"].fail()
            await stage.clock.advance(30)
        assert stage["a"].is_alive


async def test_m022_a_supervisor_that_gives_up_is_a_failure_of_its_parent() -> None:
    """Which starts it again with all of its children, or gives up in turn: agent, host, machine."""
    stage = Stage("a", "b", "neighbour")
    inner = stage.supervisor(policy(), stage["a"].child(), stage["b"].child(), name="host")
    children = inner.child(grace_s=10, ready_within_s=60), stage["neighbour"].child()
    with pytest.raises(ExceptionGroup) as raised:
        async with stage.playing(policy(restarts_max=1), *children):
            assert stage.alive == {"a", "b", "neighbour"}
            for _ in range(2):
                for _ in range(4):
                    stage["a"].fail()
                    await stage.clock.advance(4)
                assert stage["neighbour"].lives == 1
    (escalated,) = raised.value.exceptions
    assert isinstance(escalated, Escalated)
    assert isinstance(escalated.__cause__, Escalated)
    assert isinstance(escalated.__cause__.__cause__, OSError)
    assert stage["b"].lives == 2
    assert stage["a"].lives == 8
    assert stage.alive == set()
    assert stage.kept.of("top/host").count(Happening.ESCALATED) == 2
    assert "top/host/a" in {one.path for one in stage.kept.reports}


async def test_a_nested_supervisor_is_ready_when_its_children_are() -> None:
    """What stands behind it waits for all of them."""
    stage = Stage("a", "b")
    stage["a"].is_slow = True
    inner = stage.supervisor(policy(), stage["a"].child(), name="host")
    children = inner.child(grace_s=10, ready_within_s=60), stage["b"].child()
    async with stage.playing(policy(), *children):
        assert stage.alive == {"a"}
        stage["a"].get_ready()
        await stage.settle()
        assert stage.alive == {"a", "b"}


async def test_a_child_that_does_not_stop_is_reported_and_not_replaced() -> None:
    """Two of one kind never run: its supervisor gives up instead."""
    stage = Stage("a", "b")
    stage["a"].is_slow = stage["a"].is_deaf = True
    slow = stage["a"].child(grace_s=2, ready_within_s=1)
    with pytest.raises(ExceptionGroup) as raised:
        async with stage.playing(policy(together=2), slow, stage["b"].child()):
            await stage.clock.advance(3)
            await asyncio.Event().wait()
    assert raised.group_contains(Escalated)
    assert stage.kept.causes("top/a", Happening.OVERRAN) == [NotReady(1)]
    assert stage["a"].lives == 1
    assert stage.alive == {"a"}
    stage["a"].finish()
    await stage.settle()


async def test_the_end_waits_for_no_child_longer_than_its_grace() -> None:
    """It is reported as left behind, and the others stop in order all the same."""
    stage = Stage("a", "b")
    stage["b"].is_deaf = True
    supervisor = stage.supervisor(policy(), stage["a"].child(), stage["b"].child(grace_s=2))
    running = Errands().start(supervisor.run())
    await stage.settle()
    running.cancel()
    await stage.clock.advance(1.9)
    running.cancel()
    await stage.settle()
    assert not running.done()
    assert stage["a"].is_alive
    await stage.clock.advance(0.1)
    assert running.cancelled()
    assert stage.alive == {"b"}
    assert Happening.OVERRAN in stage.kept.of("top/b")
    stage["b"].finish()
    await stage.settle()


def test_a_policy_that_never_gives_up_has_to_say_so() -> None:
    """Waits that fill the window would make the bound a dead letter."""
    slow = Backoff(first_s=20, most_s=60)
    with pytest.raises(Bug, match="never gives up"):
        Policy(backoff=slow)
    Policy(backoff=slow, restarts_max=None)


async def test_a_child_that_says_that_it_cannot_be_mended_is_not_started_again() -> None:
    """Its supervisor gives up at once, and its parent hears why."""
    stage = Stage("a", "b")
    with pytest.raises(ExceptionGroup) as raised:
        async with stage.playing(policy()):
            stage["a"].fail(Unmendable("the port is bound twice"))
            await asyncio.Event().wait()
    (escalated,) = raised.value.exceptions
    assert isinstance(escalated.__cause__, Unmendable)
    assert stage["a"].lives == 1
    assert stage.alive == set()
