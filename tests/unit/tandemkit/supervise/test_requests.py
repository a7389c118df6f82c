"""What is asked of a running supervisor: add, remove, restart, suspend, resume."""

from __future__ import annotations

import asyncio

import pytest

from tandemkit.supervise.children import Restart
from tandemkit.supervise.policy import Strategy
from tandemkit.supervise.reports import (
    Asked,
    Happening,
)
from tandemkit.supervise.supervisor import (
    ChildExists,
    NoSuchChild,
    NotSupervising,
)
from tests.unit.tandemkit.supervise.planted_children import Stage, policy

ANN = Asked("ann", "new model")


async def test_a_restart_on_purpose_spends_nothing_and_does_not_wait() -> None:
    """It is back when the request returns, also in the midst of a wait or when it was done."""
    stage = Stage("a", "b")
    children = stage["a"].child(), stage["b"].child(Restart.ON_FAILURE)
    async with stage.playing(policy(restarts_max=1), *children) as supervisor:
        for _ in range(5):
            await supervisor.restart("a", ANN)
        assert stage["a"].lives == 6
        stage["a"].fail()
        await stage.settle()
        await supervisor.restart("a", ANN)
        assert stage["a"].is_alive
        stage["b"].finish()
        await stage.settle()
        await supervisor.restart("b", ANN)
        assert stage["b"].is_alive


async def test_a_suspended_child_stays_down_until_it_is_resumed() -> None:
    """Also if others fail with which it would fall."""
    stage = Stage("a", "b")
    async with stage.playing(policy(Strategy.ONE_FOR_ALL)) as supervisor:
        await supervisor.suspend("b", ANN)
        assert stage.alive == {"a"}
        stage["a"].fail()
        await stage.clock.advance(1)
        assert stage.alive == {"a"}
        await supervisor.resume("b", ANN)
        assert stage.alive == {"a", "b"}
    assert stage.kept.of("top/b").count(Happening.SUSPENDED) == 1
    assert stage.kept.of("top/b").count(Happening.RESUMED) == 1


async def test_children_come_and_go_while_it_runs() -> None:
    """A new one starts at once, even while the first start still waits for somebody else."""
    stage = Stage("a", "b")
    stage["a"].is_slow = True
    async with stage.playing(policy(), stage["a"].child()) as supervisor:
        await supervisor.add(stage["b"].child(), ANN)
        assert stage.alive == {"a", "b"}
        with pytest.raises(ChildExists):
            await supervisor.add(stage["b"].child(), ANN)
        await supervisor.remove("a", ANN)
        assert stage.alive == {"b"}
        with pytest.raises(NoSuchChild):
            await supervisor.restart("a", ANN)
        assert [one.name for one in supervisor.children()] == ["b"]
    with pytest.raises(NotSupervising):
        await supervisor.restart("b", ANN)


async def test_a_child_that_is_removed_while_it_is_being_suspended_is_gone() -> None:
    """Of two requests at a time the more final one counts, and both return."""
    stage = Stage("a")
    async with stage.playing(policy()) as supervisor:
        await asyncio.gather(supervisor.suspend("a", ANN), supervisor.remove("a", ANN))
    assert supervisor.children() == ()
