"""Programs without xDS call a real agent by one plain address: a host's, or the edge's."""

from __future__ import annotations

import asyncio

import pytest

from tests.cluster.aloud import Tell
from tests.interop.building import Built
from tests.interop.real_fleet import REFUSAL, Fleet, Running

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(600),
    pytest.mark.parametrize("driver", ["rust"], indirect=True),
]
CALLS = 2000


async def test_a_host_is_called_at_its_address(fleet: Fleet, driver: Built) -> None:
    """Every call is answered, and a refusal arrives with its details."""
    await fleet.start_host("a")
    address = fleet.hosts["a"]
    outcome = await fleet.run(driver, address=address, count=100)
    assert (outcome.answers, outcome.failures) == ({"a": 100}, {})
    assert await (await fleet.start(driver, address=address, refused=True)).told() == REFUSAL


@pytest.mark.real("envoy")
async def test_the_edge_answers_while_a_host_dies(fleet: Fleet, driver: Built, tell: Tell) -> None:
    """A host behind it is killed under way, and no call of the one address fails."""
    await asyncio.gather(fleet.start_host("a"), fleet.start_host("b"))
    await fleet.until_serving()
    address = await fleet.start_edge()
    assert await (await fleet.start(driver, address=address, refused=True)).told() == REFUSAL

    async def kill(running: Running) -> None:
        await running.has_made(CALLS // 5)
        fleet.kill("a")

    outcome = await fleet.run(driver, meanwhile=kill, address=address, count=CALLS)
    tell(f"{driver.language}: through the edge, kill -9 of one of two hosts", outcome)
    assert outcome.failures == {}, outcome.last_failure
    assert outcome.answers.total() == CALLS
