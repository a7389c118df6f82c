"""What a fleet keeps in servers and not in files: copied through the protocols that agents use,
each into a database of its own beside the files, and put back by the same.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tandem.control.config.v1.registry_pb2 import RegistrySettings
from tandem.control.v1 import machine_pb2 as nouns
from tandem.fleet.v1.state_pb2 import StateStore as Chosen
from tandem.platform.config.v1.event_store_pb2 import EventStoreSettings
from tandem.tasks.config.v1.job_pb2 import JobSettings
from tandemkit.core.clock import SystemClock
from tandemkit.machine.checkpoints.databases import at_rest
from tandemkit.machine.registry_kind import registry_of, settings_of
from tandemkit.registry import chosen as registries
from tandemkit.storage.state import stores
from tandemkit.storage.state.protocol import CHANGES_MAX, PAGE_ENTRIES_MAX, Change, StateStore

FOLDER = "exports"
_REGISTRY, _STATE = f"{FOLDER}/registry.sqlite", f"{FOLDER}/state.sqlite"
# Each host stores the contracts of what it serves whenever it starts.
_NOT_KEPT = ("contracts/", "probe")
_STORED = "CREATE TABLE stored (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT"
_OWNED = """
CREATE TABLE state (
    owner TEXT NOT NULL, key TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (owner, key)
) STRICT
"""
_BROKERS = {"nats": "NATS", "rabbitmq": "RabbitMQ"}
_CLOCK = SystemClock()


class Export(Protocol):
    """One server. `is_first`: what it keeps is to be copied before the files' common moment, for
    events tell of it; else behind it.
    """

    @property
    def path(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def is_first(self) -> bool: ...

    async def write(self, place: Path) -> None:
        """Copies what it keeps. Raises Unreachable, Refused."""

    async def put_back(self, place: Path) -> None:
        """Makes what it keeps that of the copy; done again, it changes nothing. Raises the same."""


def exports_of(wanted: nouns.WantedMachine | None) -> Sequence[Export]:
    """Of a fleet that runs so; none where it keeps everything in files."""
    if wanted is None:
        return ()
    found: list[Export] = []
    place = wanted.plan.state
    if place.WhichOneof("place") in {"postgres", "redis"}:
        found.append(_StateExport(place, tuple(_instances(wanted))))
    settings = next(settings_of(wanted.plan), RegistrySettings())
    if settings.WhichOneof("backend") in {"consul", "redis"}:
        found.append(_RegistryExport(settings, f"the registry, {registry_of(wanted)}"))
    return tuple(found)


def not_exported(wanted: nouns.WantedMachine | None) -> Iterator[str]:
    """What a fleet that runs so keeps in servers and no checkpoint has, in words."""
    for machine in wanted.plan.machines if wanted else ():
        for agent in (agent for host in machine.hosts for agent in host.agents):
            events, jobs = EventStoreSettings(), JobSettings()
            if agent.settings.Unpack(events) and events.postgres_file:
                yield f"events of {agent.name}: they are in PostgreSQL, so take pg_dump for them"
            is_of_jobs = agent.settings.Unpack(jobs)
            if is_of_jobs and (broker := _BROKERS.get(str(jobs.WhichOneof("queue")))):
                yield f"what waits in the queue of {agent.name}: {broker} keeps it"


@dataclass(frozen=True)
class Written:
    """An export that was made already, while its server still ran."""

    path: str
    title: str
    is_first: bool
    source: Path

    async def write(self, place: Path) -> None:
        await asyncio.to_thread(place.write_bytes, self.source.read_bytes())

    async def put_back(self, place: Path) -> None:
        """It is a copy, and no server."""


@dataclass(frozen=True)
class _RegistryExport:
    settings: RegistrySettings
    title: str
    path: str = _REGISTRY
    is_first: bool = False

    async def write(self, place: Path) -> None:
        async with registries.opened(self.settings, place.parent, _CLOCK) as backend:
            found = await backend.registry.values()
        rows = [(key, one.value) for key, one in found.items() if _is_kept(key)]
        _fill(place, _STORED, "INSERT INTO stored VALUES (?, ?)", rows)

    async def put_back(self, place: Path) -> None:
        with at_rest(place) as database:
            kept: Mapping[str, bytes] = dict(database.execute("SELECT key, value FROM stored"))
        async with registries.opened(self.settings, place.parent, _CLOCK) as backend:
            registry = backend.registry
            there = {key: one.value for key, one in (await registry.values()).items()}
            for key in filter(_is_kept, there.keys() - kept.keys()):
                await registry.delete(key)
            for key, value in kept.items():
                if there.get(key) != value:
                    await registry.put(key, value)


@dataclass(frozen=True)
class _StateExport:
    chosen: Chosen
    owners: tuple[str, ...]
    title: str = "the state of agents"
    path: str = _STATE
    is_first: bool = True

    async def write(self, place: Path) -> None:
        rows = []
        for owner in self.owners:
            async with stores.opened(self.chosen, owner, place.parent) as store:
                rows += [(owner, key, content) async for key, content in _entries(store)]
        _fill(place, _OWNED, "INSERT INTO state VALUES (?, ?, ?)", rows)

    async def put_back(self, place: Path) -> None:
        kept: dict[str, dict[str, bytes]] = {owner: {} for owner in self.owners}
        with at_rest(place) as database:
            for owner, key, content in database.execute("SELECT owner, key, content FROM state"):
                kept.setdefault(owner, {})[key] = content
        for owner, wanted in kept.items():
            async with stores.opened(self.chosen, owner, place.parent) as store:
                there = {key: content async for key, content in _entries(store)}
                changes = [Change(key, None) for key in there.keys() - wanted.keys()]
                changes += [
                    Change(key, content)
                    for key, content in wanted.items()
                    if there.get(key) != content
                ]
                for start in range(0, len(changes), CHANGES_MAX):
                    await store.write(changes[start : start + CHANGES_MAX])


async def _entries(store: StateStore) -> AsyncIterator[tuple[str, bytes]]:
    after = ""
    while page := await store.entries(after=after, limit=PAGE_ENTRIES_MAX):
        for one in page:
            yield one.key, one.stored.content
        after = page[-1].key


def _fill(place: Path, schema: str, insert: str, rows: Iterable[tuple[object, ...]]) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(sqlite3.connect(place)) as database, database:
        database.execute(schema)
        database.executemany(insert, rows)


def _instances(wanted: nouns.WantedMachine) -> Iterator[str]:
    for machine in wanted.plan.machines:
        if machine.name == wanted.machine:
            for host in machine.hosts:
                yield from (agent.name for agent in host.agents)


def _is_kept(key: str) -> bool:
    return not key.startswith(_NOT_KEPT)
