from __future__ import annotations

import asyncio
from contextvars import ContextVar, copy_context

import pytest

from tandemkit.supervise.tasks import Tasks, failure_of


async def test_leaving_the_scope_ends_its_tasks() -> None:
    """No task outlives its owner."""
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with Tasks() as tasks:
        tasks.spawn("work", work())
        await asyncio.get_running_loop().run_in_executor(None, int)
    assert ended.is_set()


async def test_a_task_that_fails_ends_its_owner() -> None:
    """The owner does not go on as if nothing had happened, and the cause is in what it raises."""

    async def work() -> None:
        raise KeyError("cause")

    with pytest.raises(ExceptionGroup) as raised:
        async with Tasks() as tasks:
            tasks.spawn("work", work())
            await asyncio.Event().wait()
    assert raised.group_contains(KeyError)


async def test_a_task_does_not_inherit_the_call_that_asked_for_it() -> None:
    """What holds for one call, such as its deadline, does not hold for a task that outlives it."""
    call: ContextVar[str] = ContextVar("call", default="none")
    seen = asyncio.get_running_loop().create_future()

    async def work() -> None:
        seen.set_result(call.get())

    async with Tasks() as tasks:
        served = copy_context()
        served.run(call.set, "served")
        served.run(tasks.spawn, "work", work())
        assert await seen == "none"


async def test_the_owners_own_error_stays_what_it_is() -> None:
    """It is not wrapped into a group, and the tasks end all the same."""
    with pytest.raises(ValueError, match="of the owner"):
        async with Tasks() as tasks:
            tasks.spawn("work", asyncio.Event().wait())  # type: ignore[arg-type]  # never returns
            raise ValueError("of the owner")


async def test_a_probe_gives_its_failure_back() -> None:
    """As a value, because a probe's failure is an answer."""

    async def sick() -> None:
        raise KeyError("cause")

    async def well() -> None:
        return None

    assert isinstance(await failure_of(sick()), KeyError)
    assert await failure_of(well()) is None
