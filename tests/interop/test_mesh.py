"""Programs in other languages call a real agent over `xds:///tandem`, by the packages written for
them alone.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cluster.aloud import Tell
from tests.cluster.eventually import eventually
from tests.interop.building import Built
from tests.interop.real_fleet import REFUSAL, Fleet, Outcome, Running

# Whatever speaks xDS. The first test of each builds; a cold one has much to fetch.
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(600),
    pytest.mark.parametrize("driver", ["go", "node", "java"], indirect=True),
]
CALLS, AT_ONCE = 2000, 4
TESTER = {"x-tester": "yes"}


async def start(fleet: Fleet, driver: Built, *hosts: str) -> None:
    """Hosts of the version that they are called after; only versions matter to a policy."""
    await asyncio.gather(*(fleet.start_host(name, version=name) for name in hosts))
    await until_only(fleet, driver, *hosts)


async def until_only(fleet: Fleet, driver: Built, *hosts: str, **calls: Any) -> None:
    """Returns once a client that starts now meets all of these and nobody else."""

    async def look() -> Outcome:
        return await fleet.run(driver, count=20, **calls)

    await eventually(
        look, lambda found: set(found.answers) == set(hosts) and not found.failures, within_s=60
    )


async def test_calls_go_round_two_hosts(fleet: Fleet, driver: Built, tell: Tell) -> None:
    """Each answers about half, and none of the calls fails."""
    await start(fleet, driver, "a", "b")
    outcome = await fleet.run(driver, count=1000)
    tell(f"{driver.language}: balance over two hosts", outcome)
    assert outcome.failures == {}, outcome.last_failure
    # The first calls go to whichever connection stood first.
    assert min(outcome.answers["a"], outcome.answers["b"]) >= 400


async def test_a_canary_gets_its_share(fleet: Fleet, driver: Built, tell: Tell) -> None:
    """A tenth of the calls, and all calls with the testers' header."""
    await start(fleet, driver, "blue", "green")
    await fleet.share(blue=90, green=10, testers="green")
    await until_only(fleet, driver, "green", headers=TESTER)
    outcome = await fleet.run(driver, count=1000)
    tell(f"{driver.language}: canary 90/10", outcome)
    assert outcome.failures == {}, outcome.last_failure
    # Four standard deviations: a fair die fails this once in 16,000 runs.
    assert 862 <= outcome.answers["blue"] <= 938
    chosen = await fleet.run(driver, count=100, headers=TESTER)
    assert (chosen.answers, chosen.failures) == ({"green": 100}, {})


async def test_a_switch_moves_every_call(fleet: Fleet, driver: Built, tell: Tell) -> None:
    """From blue to green under way: no call fails, and afterwards none meets blue."""
    await start(fleet, driver, "blue", "green")
    await fleet.share(blue=1, green=0)
    await until_only(fleet, driver, "blue")

    async def switch(running: Running) -> None:
        await running.has_made(CALLS // 5)
        await fleet.share(blue=0, green=1)

    outcome = await fleet.run(driver, meanwhile=switch, count=CALLS)
    tell(f"{driver.language}: blue-green switch", outcome)
    assert outcome.failures == {}, outcome.last_failure
    assert outcome.answers["blue"] >= CALLS // 5
    assert outcome.answers["green"] > 0
    after = await fleet.run(driver, count=100)
    assert (after.answers, after.failures) == ({"green": 100}, {})


async def test_a_killed_host_costs_no_call(fleet: Fleet, driver: Built, tell: Tell) -> None:
    """The contract says that these may be made twice, so the other host answers."""
    await start(fleet, driver, "a", "b")

    async def kill(running: Running) -> None:
        await running.has_made(CALLS // 5)
        fleet.kill("a")

    outcome = await fleet.run(driver, meanwhile=kill, count=CALLS, at_once=AT_ONCE)
    tell(f"{driver.language}: kill -9 of one of two hosts", outcome)
    # gRPC for Java calls a lost connection UNKNOWN where a call was just being written to it, and
    # that is not to be tried again: at most the calls under way.
    lost = outcome.failures.pop("UNKNOWN", 0) if driver.language == "java" else 0
    assert lost <= AT_ONCE
    assert outcome.failures == {}, outcome.last_failure
    assert outcome.answers.total() == CALLS - lost
    assert outcome.answers["b"] > CALLS // 2


async def test_a_refusal_arrives_with_its_details(fleet: Fleet, driver: Built) -> None:
    """Code, reason and the field that broke its rule, as the package reads them."""
    await start(fleet, driver, "a")
    running = await fleet.start(driver, refused=True)
    assert await running.told() == REFUSAL
