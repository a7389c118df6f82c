"""Checkpoints of fleets that keep their registry in a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tandemkit.machine.parts.kinds import CONSUL, REDIS
from tandemkit.testing.checkouts import write_checkout
from tandemkit.testing.parts import demand, short_folder
from tests.cluster.checkpointed import AGENTS, SETTINGS, Told, writing
from tests.cluster.eventually import eventually
from tests.cluster.fleets import Checkout

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@asynccontextmanager
async def standing_on(kind: str) -> AsyncIterator[Checkout]:
    """A fleet with a server of its own."""
    programs = demand(kind)
    with short_folder() as folder:
        write_checkout(folder, AGENTS, SETTINGS)
        checkout = Checkout(folder)
        folders = {str(Path(one).parent) for one in programs.values()}
        checkout.variables["PATH"] = ":".join((*sorted(folders), checkout.variables["PATH"]))
        try:
            assert (await checkout.told("up", "-d", "--registry", kind))["serving"]
            yield checkout
        finally:
            await checkout.tandem("down")
        assert checkout.pids() == {}


@pytest.mark.parametrize("kind", [CONSUL, REDIS])
async def test_values_of_a_registry_in_a_server_come_back_too(kind: str) -> None:
    """And what was there before the restore by a rollback; the events stand in files."""
    async with standing_on(kind) as fleet:

        async def written(count: int) -> Told:
            async with writing(fleet) as writer:
                writer.told = await writer.found()
                for _ in range(count):
                    await writer.write()
                return writer.told

        async def found() -> Told:
            async with writing(fleet) as writer:
                return await writer.found()

        kept = await written(3)
        made = await fleet.told("checkpoint", "kept")
        assert made["events_position"] > 0
        later = await written(4)
        done = await fleet.told("restore", "kept", "--yes")
        assert any(one["trial"].startswith("the registry, ") for one in done["trials"])
        assert await eventually(found, lambda told: told == kept) == kept
        await fleet.told("rollback", "--undo", "--yes")
        assert await eventually(found, lambda told: told == later) == later
        assert (await fleet.told("verify", "kept"))["sound"]
