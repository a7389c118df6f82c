"""The load generator accounts for every call that it started."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandemkit.testing.parts import short_folder
from tests.cluster import load
from tests.cluster.controlled import Controlled, controlled

pytestmark = pytest.mark.cluster
METHOD = f"{pb.DESCRIPTOR.services_by_name['FleetStatusService'].full_name}/ListAgents"


@pytest.fixture
async def fleet() -> AsyncIterator[Controlled]:
    with short_folder() as folder:
        async with controlled(folder) as fleet:
            yield fleet


async def test_calls_started_are_those_that_succeeded_and_failed(fleet: Controlled) -> None:
    """Also while their only host is gone; how long nobody answered is told."""
    await fleet.start_host("a")
    client = await fleet.client()
    await client.until_only("Alpha/Ask", "a")
    before = await client.made()

    async def kill() -> None:
        await client.has_made(before + 50)
        await fleet.kill("a")
        await client.has_made(before + 150)
        await fleet.start_host("a")
        await client.has_made(before + 350)
        await client.stop()

    outcome, _ = await asyncio.gather(client.run("Alpha/Add", 100_000, per_s=100), kill())
    assert 350 <= outcome.started < 100_000
    assert outcome.started == outcome.ok + outcome.failed
    assert outcome.failures.keys() == {"UNAVAILABLE"}
    assert 0.0 < outcome.half_s <= outcome.most_s <= outcome.slowest_s
    assert outcome.gap_s > 0.5


def test_who_waits_for_a_host_gets_its_answer(fleet: Controlled) -> None:
    """A person runs it by hand, for any method, and reads one line."""
    said = ("--target", fleet.control, "--per-s", "50", "--seconds", "1", "--wait-for-ready")
    argv = (sys.executable, "-m", load.__name__, METHOD, '{"page_size": 1}', *said)
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(fleet.folder)}
    for more in ((), ("--json",)):
        done = subprocess.run(
            (*argv, *more), env=environment, capture_output=True, text=True, check=True
        )
        if more:
            assert json.loads(done.stdout)["ok"] == 50
        else:
            assert re.match(r"started 50 = ok 50 \+ failed 0; half within ", done.stdout)
