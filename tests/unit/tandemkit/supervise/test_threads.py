"""Supervised threads: real ones, told what to do by events."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextvars import ContextVar

from tandemkit.supervise.reports import Happening, Raised, Returned
from tandemkit.supervise.supervisor import Supervisor, supervising
from tandemkit.supervise.threads import ThreadLife, thread
from tandemkit.supervise.ward import Means
from tests.unit.tandemkit.supervise.planted_children import Kept, policy


def wait(life: ThreadLife) -> None:
    life.ready()
    life.stopping.wait()


async def test_a_thread_is_joined_before_its_supervisor_ends() -> None:
    """It is asked, and nothing of it is left."""
    async with supervising(Supervisor("top", [thread("a", wait)])) as supervisor:
        await supervisor.until_up()
        assert "top/a" in {one.name for one in threading.enumerate()}
    assert "top/a" not in {one.name for one in threading.enumerate()}


async def test_a_thread_that_fails_is_started_again_with_its_reason_told() -> None:
    """What it raised is in the report, chain and all."""
    kept, lives = Kept(), list[int]()

    def work(life: ThreadLife) -> None:
        lives.append(1)
        if len(lives) == 1:
            raise OSError("no camera")
        wait(life)

    top = Supervisor("top", [thread("a", work)], means=Means(sink=kept))
    async with supervising(top) as supervisor:
        await supervisor.until_up()
    assert len(lives) == 2
    (cause,) = kept.causes("top/a", Happening.RESTARTING)
    assert isinstance(cause, Raised)
    assert cause.chain[0].message == "no camera"


async def test_a_thread_that_does_not_stop_is_reported() -> None:
    """Within its grace, and the supervisor ends all the same; later it may yet come to its end."""
    kept, freed = Kept(), threading.Event()

    def work(life: ThreadLife) -> None:
        life.ready()
        freed.wait()

    children = [thread("deaf", work, grace_s=0.05), thread("a", wait)]
    top = Supervisor("top", children, policy(), Means(sink=kept))
    async with supervising(top) as supervisor:
        await supervisor.until_up()
    assert kept.of("top/deaf")[-1] is Happening.OVERRAN
    assert kept.of("top/a")[-1] is Happening.STOPPED
    freed.set()
    (left,) = (one for one in threading.enumerate() if one.name == "top/deaf")
    await asyncio.to_thread(left.join)


async def test_an_error_on_the_way_out_is_reported_too() -> None:
    """A thread that breaks while it stops does not do so in silence."""
    kept = Kept()

    def work(life: ThreadLife) -> None:
        wait(life)
        raise OSError("could not save")

    async with supervising(Supervisor("top", [thread("a", work)], means=Means(sink=kept))) as top:
        await top.until_up()
    (cause,) = kept.causes("top/a", Happening.STOPPED)
    assert isinstance(cause, Raised)


async def test_those_behind_wait_until_a_thread_says_that_it_is_ready() -> None:
    """A start counts when the thread says so, from the thread."""
    told, order = threading.Event(), list[str]()

    def slow(life: ThreadLife) -> None:
        told.wait()
        order.append("slow")
        wait(life)

    def quick(life: ThreadLife) -> None:
        order.append("quick")
        wait(life)

    children = [thread("slow", slow), thread("quick", quick)]
    async with supervising(Supervisor("top", children)) as supervisor:
        assert [one.state for one in supervisor.children()] == ["starting", "waiting"]
        told.set()
        await supervisor.until_up()
        assert order == ["slow", "quick"]


async def test_a_thread_sees_the_context_of_its_supervisor() -> None:
    """What holds for the supervisor holds for its threads, as for tasks."""
    where: ContextVar[str] = ContextVar("where")
    where.set("here")
    seen: list[str] = []

    def work(life: ThreadLife) -> None:
        seen.append(where.get())
        wait(life)

    async with supervising(Supervisor("top", [thread("a", work)])) as supervisor:
        await supervisor.until_up()
    assert seen == ["here"]


async def test_a_thread_that_exits_has_returned() -> None:
    """`sys.exit` ends the thread that calls it and nothing else, so that is an end like another."""
    kept, lives = Kept(), list[int]()

    def work(life: ThreadLife) -> None:
        lives.append(1)
        if len(lives) == 1:
            sys.exit()
        wait(life)

    top = Supervisor("top", [thread("a", work)], means=Means(sink=kept))
    async with supervising(top) as supervisor:
        await supervisor.until_up()
    assert kept.causes("top/a", Happening.RESTARTING) == [Returned()]
