"""Secrets of a real fleet that comes back from a checkpoint."""

from __future__ import annotations

import pytest

from tests.cluster.safety.searching import Search
from tests.cluster.safety.spilling import KEY, fingerprint
from tests.cluster.safety.spilling_fleet import spilling_fleet

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]
PLANTED = 'plant-8f3e0b77c1"x+9d'


async def test_a_fleet_that_comes_back_from_a_checkpoint_has_its_secret() -> None:
    """The one that its launcher had, or that of the shell of `restore`; neither it nor what was
    kept of it holds any.
    """
    variable, other = KEY.upper(), f"{PLANTED}-of-another-shell"
    async with spilling_fleet({variable: PLANTED}) as fleet:
        fleet.variables.pop(variable)
        await fleet.told("checkpoint", "kept")
        await fleet.told("restore", "kept", "--yes")
        assert await fleet.does("which") == fingerprint(PLANTED)
        await fleet.told("down")
        fleet.variables[variable] = other
        await fleet.told("restore", "kept", "--yes")
        fleet.variables.pop(variable)
        assert await fleet.does("which") == fingerprint(other)
        assert await Search(PLANTED).places(fleet) == set()
