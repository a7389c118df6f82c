"""An agent that calls another one, in processes of their own: where its calls go, and for how
long.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tandemkit.rpc import budget
from tandemkit.testing.parts import short_folder
from tests.cluster.controlled import Controlled, controlled
from tests.cluster.mesh.trial_contract import BETA, WAIT_MS, Answer, Question

pytestmark = pytest.mark.cluster
CALLS = 1500


async def ask(fleet: Controlled, name: str, method: str) -> str:
    """One call to a caller, with as much time as it wants."""
    async with fleet.at(name) as channel:
        call: Any = channel.unary_unary(
            f"/{BETA}/{method}", Question.SerializeToString, Answer.FromString
        )
        return str((await call(Question(), wait_for_ready=True)).text)


@pytest.fixture
async def fleet() -> AsyncIterator[Controlled]:
    """A control, and nothing else yet."""
    with short_folder() as folder:
        async with controlled(folder) as fleet:
            yield fleet


async def test_an_agent_calls_one_on_other_hosts_and_does_not_feel_one_die(
    fleet: Controlled,
) -> None:
    """It starts before there is anybody to call, serves when there is, and a killed callee costs no
    call that may be made twice.
    """
    await fleet.start_chained("caller", "caller")
    await fleet.until_serving(service=BETA)
    await asyncio.gather(*(fleet.start_chained(name, "callee") for name in ("a", "b")))
    await fleet.until_serving("caller", service=BETA)
    client = await fleet.client()
    await client.until_only("Beta/Ask", "a by ipv4", "b by ipv4")

    async def kill() -> int:
        await client.has_made(CALLS // 5)
        await fleet.kill("a")
        return await client.made()

    outcome, made = await asyncio.gather(client.run("Beta/Ask", CALLS), kill())
    assert made < CALLS, "it was killed after the last call"
    assert outcome.failures == {}
    assert set(outcome.answers) == {"a by ipv4", "b by ipv4"}
    await client.until_only("Beta/Ask", "b by ipv4")


async def test_a_callee_has_less_time_than_its_caller(fleet: Controlled) -> None:
    """What the caller has left, less its reserve, reaches the callee as its deadline."""
    await asyncio.gather(
        fleet.start_chained("caller", "caller"), fleet.start_chained("callee", "callee")
    )
    await fleet.until_serving("caller", service=BETA)
    left_s = float(await ask(fleet, "caller", "Wait"))
    assert 0 < left_s < WAIT_MS / 1000 * (1 - budget.RESERVE_SHARE)


async def test_an_agent_that_starts_without_its_control_finds_the_others(
    fleet: Controlled,
) -> None:
    """The next control tells its host whether its callee serves, and its channel where; one that
    runs already notices nothing.
    """
    await fleet.start_second()
    await asyncio.gather(
        fleet.start_chained("caller", "caller"), fleet.start_chained("callee", "callee")
    )
    await fleet.until_serving("caller", service=BETA)
    assert await ask(fleet, "caller", "Ask") == "callee by ipv4"
    await fleet.kill("control")
    await fleet.start_chained("late", "caller", ready="agent.serving")
    for name in ("late", "caller"):
        assert await ask(fleet, name, "Ask") == "callee by ipv4"
    await fleet.start_control()
    await fleet.until_serving("caller", "late", service=BETA)


async def test_an_agent_of_the_same_host_is_called_without_a_connection(fleet: Controlled) -> None:
    """Although another host serves it as well."""
    await asyncio.gather(
        fleet.start_chained("both", "both"), fleet.start_chained("callee", "callee")
    )
    await fleet.until_serving("both", "callee")
    await fleet.until_serving("both", service=BETA)
    client = await fleet.client()
    # Clients are told a little later than people.
    await client.until_only("Beta/Ask", "both by in-process")
    outcome = await client.run("Beta/Ask", 100)
    assert (outcome.failures, outcome.answers) == ({}, {"both by in-process": 100})
