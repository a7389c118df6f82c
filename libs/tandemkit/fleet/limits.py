"""What one agent may ask: its pool's most, cores that its machine has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tandemkit.fleet import asks, cores
from tandemkit.fleet.hosts import Part, WantedHost
from tandemkit.fleet.layout import Layout
from tandemkit.fleet.placing import Room
from tandemkit.fleet.stanzas import Stanza
from tandemkit.written.marked import Entry, Mistake
from tandemkit.written.near import hint
from tandemkit.written.pools import pool_name


class Limits:
    """Checks each agent, group and pool alone; what they take together is the rooms' question."""

    def __init__(self, layout: Layout, hosts: Sequence[WantedHost]) -> None:
        self._layout, self._hosts = layout, hosts

    def mistakes(self, rooms: Mapping[str, Room]) -> Iterator[Mistake]:
        """All of the profile's."""
        for pool in self._layout.pools.values():
            yield from _unreadable(pool)
        for part in (part for host in self._hosts for part in host.parts):
            yield from _unreadable(part.group)
            for one in part.members:
                yield from _unreadable(one.entry)
                yield from self._over_pool(one)
        for room in rooms.values():
            for part in (part for host in room.hosts for part in host.parts):
                yield from _over_cores(part, room)
            for host in room.hosts:
                yield from _below_need(host)

    def cores_of(self, part: Part, one: Stanza, room: Room) -> tuple[int, ...]:
        """Its own set, its group's, or its pool's as far as the machine has it; empty: all."""
        own = cores.parsed(one.fields.cpu_set or part.group.fields.cpu_set)
        if own:
            return own
        pool = self._layout.pools[asks.pool(one.fields)].fields
        found = cores.parsed(pool.cpu_set)
        return found if all(core < room.machine.cpu_cores for core in found) else ()

    def _over_pool(self, one: Stanza) -> Iterator[Mistake]:
        kind = asks.pool(one.fields)
        if kind not in self._layout.pools:
            known = map(pool_name, self._layout.pools)
            said = f"pools.yaml has no pool `{pool_name(kind)}`{hint(pool_name(kind), known)}"
            yield one.entry.mistake("pool", said)
            return
        most = self._layout.pools[kind].fields.agent_memory_mib_max
        asked = asks.agent_memory_mib(one.fields)
        if most and asked > most:
            said = (
                f"`{one.fields.name}` asks for {asked} MiB, and the pool `{pool_name(kind)}` gives "
                f"an agent {most}: ask for {asked - most} less, or of another pool"
            )
            yield one.entry.mistake("memory_mib", said)


def _unreadable(entry: Entry[Any]) -> Iterator[Mistake]:
    try:
        cores.parsed(entry.fields.cpu_set)
    except ValueError as error:
        yield entry.mistake("cpu_set", str(error))


def _below_need(host: WantedHost) -> Iterator[Mistake]:
    """A process that would be ended for what it is planned to use."""
    most, needs = host.memory_mib_max, sum(host.asks_mib().values())
    if most and most < needs and host.limited is not None:
        said = (
            f"`{host.limited.fields.name}` and its process are planned with {needs} MiB, and may "
            f"use {most}: say {needs} at least, or less `memory_mib`"
        )
        yield host.limited.entry.mistake("memory_mib_max", said)


def _over_cores(part: Part, room: Room) -> Iterator[Mistake]:
    has = room.machine.cpu_cores
    for entry in (part.group, *(one.entry for one in part.members)):
        fields: Any = entry.fields
        if list(_unreadable(entry)):
            continue
        beyond = [core for core in cores.parsed(fields.cpu_set) if core >= has]
        if beyond:
            said = (
                f"{room.machine.name} has cores 0-{has - 1}, and no {cores.written(tuple(beyond))}"
            )
            yield entry.mistake("cpu_set", said)
        if fields.cpus_max > has:
            said = f"{room.machine.name} has {has} cores: say {has} at most"
            yield entry.mistake("cpus_max", said)
