"""The policy agent serves while its registry answers, and does not wear it out with asking."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.control.traffic_policy.reach import Reach
from tandemkit.core.errors import Failure
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock

STANDS_S = 9.0


async def test_the_agent_serves_while_a_watch_of_the_policy_stands() -> None:
    """Not before its first word, and not while the registry is away or keeps what nobody reads."""
    clock = FakeClock()
    told: list[Failure | str] = [Failure("it does not answer"), "a policy", "none"]

    async def watch() -> AsyncIterator[str]:
        found = told.pop(0)
        if isinstance(found, Failure):
            raise found
        yield found
        await clock.sleep(STANDS_S)

    reach = Reach(watch, clock)

    async def refused(cause: str) -> None:
        with pytest.raises(ConnectionError, match=cause):
            await reach.check()

    await refused("not answered yet")
    async with Tasks() as tasks:
        tasks.spawn("reach", reach.run())
        await clock.advance(0)
        await refused("does not answer")
        await clock.advance(1)
        await reach.check()
        await clock.advance(STANDS_S)
        await refused("ended the watch")
        await clock.advance(1)
        await reach.check()
