"""The example that a package brings is the first thing that its user runs."""

from __future__ import annotations

import subprocess

import pytest

from tandemkit.mesh.bootstrap import VARIABLE
from tests.cluster.eventually import eventually
from tests.interop.building import Built
from tests.interop.real_fleet import Fleet

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def output_of(driver: Built, environment: dict[str, str], *arguments: str) -> str:
    argv = (*driver.example, *arguments)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("driver", ["go", "node", "java"], indirect=True)
async def test_an_example_calls_over_the_mesh(fleet: Fleet, driver: Built) -> None:
    """With what `./tandem env` says; without it, it says what to do."""
    await fleet.start_host("a")
    known = fleet.shell()

    async def look() -> str:
        return output_of(driver, known)

    await eventually(look, lambda told: "graphemes" in told)
    del known[VARIABLE]
    assert "`./tandem env` prints it" in output_of(driver, known)


@pytest.mark.parametrize("driver", ["go", "node", "java", "rust"], indirect=True)
async def test_an_example_calls_an_address(fleet: Fleet, driver: Built) -> None:
    """No bootstrap is asked for."""
    await fleet.start_host("a")
    known = fleet.shell()
    del known[VARIABLE]
    assert "graphemes" in output_of(driver, known, fleet.hosts["a"])
