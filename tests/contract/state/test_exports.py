"""State that a fleet keeps in a server, copied into a checkpoint and put back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.control.v1 import machine_pb2 as nouns
from tandem.fleet.v1.state_pb2 import StateStore as Chosen
from tandemkit.machine.checkpoints.servers import exports_of
from tandemkit.storage.state.protocol import PAGE_ENTRIES_MAX, Change
from tandemkit.storage.state.stores import opened
from tandemkit.testing.parts import short_folder
from tests.contract.state.test_hosted import store

_OWNERS = ("trial-a", "trial-b")
# More than a page, and more than a write may change.
_MANY = PAGE_ENTRIES_MAX + 150


def wanted_with(chosen: Chosen) -> nouns.WantedMachine:
    wanted = nouns.WantedMachine(machine="laptop")
    wanted.plan.state.CopyFrom(chosen)
    host = wanted.plan.machines.add(name="laptop").hosts.add(name="agents")
    for owner in _OWNERS:
        host.agents.add(name=owner)
    return wanted


async def written(chosen: Chosen, owner: str, contents: dict[str, bytes | None]) -> None:
    async with opened(chosen, owner, Path()) as state:
        changes = [Change(key, content) for key, content in contents.items()]
        for start in range(0, len(changes), 100):
            await state.write(changes[start : start + 100])


async def found(chosen: Chosen, owner: str) -> dict[str, bytes]:
    entries: dict[str, bytes] = {}
    async with opened(chosen, owner, Path()) as state:
        while page := await state.entries(after=max(entries, default="")):
            entries |= {one.key: one.stored.content for one in page}
    return entries


@pytest.mark.parametrize("kind", ["postgres", "redis"])
async def test_what_a_server_keeps_comes_back_as_it_was(tmp_path: Path, kind: str) -> None:
    """Of each owner: what was changed, what was deleted, and nothing that is new."""
    with short_folder() as sockets:
        async with store(kind, sockets) as chosen:
            many = {f"jobs/{number:05}": b"x%d" % number for number in range(_MANY)}
            await written(chosen, "trial-a", {**many})
            await written(chosen, "trial-b", {"one": b"1"})
            (export,) = exports_of(wanted_with(chosen))
            place = tmp_path / export.path
            await export.write(place)
            changed: dict[str, bytes | None] = {"jobs/00000": b"y", "jobs/00001": None, "new": b"z"}
            await written(chosen, "trial-a", changed)
            await written(chosen, "trial-b", {"one": None})
            for _ in range(2):
                await export.put_back(place)
                assert await found(chosen, "trial-a") == many
                assert await found(chosen, "trial-b") == {"one": b"1"}


def test_a_fleet_with_files_alone_has_nothing_to_export() -> None:
    """Nor has a home in which nothing runs."""
    assert exports_of(wanted_with(Chosen())) == ()
    assert exports_of(None) == ()
