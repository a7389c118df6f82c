"""The processes that a profile asks for, before any has a machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tandem.fleet.v1.group_pb2 import HostGroup
from tandem.fleet.v1.profile_pb2 import PlacedGroup, Profile
from tandem.fleet.v1.resources_pb2 import MemoryPool
from tandem.fleet.v1.runtime_pb2 import Runtime
from tandemkit.fleet import asks
from tandemkit.fleet.stanzas import Stanza
from tandemkit.written.marked import Entry, Mistake

# What the registry takes as the id of a host, which is its machine's name and its own.
_NAME_MAX = 63


@dataclass(frozen=True)
class Part:
    """One group's share of a process."""

    placed: Entry[PlacedGroup]
    group: Entry[HostGroup]
    members: tuple[Stanza, ...]

    @property
    def is_warm(self) -> bool:
        """Whether it is there for what is added while it runs."""
        return not self.group.fields.agents


@dataclass(frozen=True)
class WantedHost:
    """One process. `bundle` is what it has in common with its replicas."""

    name: str
    bundle: str
    machines: tuple[str, ...]
    parts: tuple[Part, ...]
    # Agents of the same groups that have a process of their own beside it.
    apart: tuple[Stanza, ...] = ()
    # Whether it is the process of one of those.
    is_apart: bool = False

    @property
    def limited(self) -> Stanza | None:
        """The agent that it serves alone and whose limits are its own, if it is such a one."""
        alone = self.members[0] if len(self.members) == 1 else None
        return alone if alone is not None and asks.is_limited(alone.fields) else None

    @property
    def runtime(self) -> Runtime.ValueType:
        """What its program is written in, which all of its groups say."""
        return asks.runtime(self.parts[0].group.fields)

    @property
    def port_range(self) -> str:
        """Where its gRPC port is taken from: as the first of its groups says that says so."""
        own = (str(part.group.fields.port_range) for part in self.parts)
        return next(filter(None, own), "")

    @property
    def members(self) -> tuple[Stanza, ...]:
        """Its agents, by name."""
        found = (one for part in self.parts for one in part.members)
        return tuple(sorted(found, key=lambda one: str(one.fields.name)))

    @property
    def pool(self) -> MemoryPool.ValueType:
        """The pool of the process itself: the most needed one of its agents'."""
        own = (asks.pool(one.fields) for one in self.members)
        return min(own, default=MemoryPool.MEMORY_POOL_STANDARD)

    @property
    def own_mib(self) -> int:
        """Memory of the process without its agents: that of its biggest group, for it is one."""
        return max(asks.host_memory_mib(part.group.fields) for part in self.parts)

    def asks_mib(self) -> dict[MemoryPool.ValueType, int]:
        """Memory by pool."""
        wanted = {self.pool: self.own_mib}
        for one in self.members:
            pool = asks.pool(one.fields)
            wanted[pool] = wanted.get(pool, 0) + asks.agent_memory_mib(one.fields)
        return wanted

    @property
    def gpu_percent(self) -> int:
        """Its share of one GPU."""
        if self.is_apart:
            return sum(one.fields.gpu_percent for one in self.members)
        whole = sum(
            part.group.fields.gpu_percent or sum(one.fields.gpu_percent for one in part.members)
            for part in self.parts
        )
        # What a group has together it also shares with those that are apart.
        given = any(part.group.fields.gpu_percent for part in self.parts)
        return whole - (sum(one.fields.gpu_percent for one in self.apart) if given else 0)

    @property
    def cpus_max(self) -> float:
        """Most CPU time; none where one of its groups has no limit."""
        if self.limited is not None and self.limited.fields.cpus_max:
            return float(self.limited.fields.cpus_max)
        limits = [part.group.fields.cpus_max for part in self.parts]
        return sum(limits) if all(limits) else 0.0

    @property
    def memory_mib_max(self) -> int:
        """Most memory of the process; 0: no limit."""
        return int(self.limited.fields.memory_mib_max) if self.limited is not None else 0

    def split(self) -> Iterator[WantedHost]:
        """The same agents, with a process of its own for each that has limits and would share."""
        limited = tuple(one for one in self.members if asks.is_limited(one.fields))
        if not limited or len(self.members) == 1:
            yield self
            return
        rest = self._serving([one for one in self.members if one not in limited])
        if rest.parts:
            yield replace(rest, apart=limited)
        for one in limited:
            own = f"-{one.fields.name}"
            alone = self._serving([one])
            yield replace(alone, name=self.name + own, bundle=self.bundle + own, is_apart=True)

    def _serving(self, members: Sequence[Stanza]) -> WantedHost:
        """These alone."""
        parts = (
            replace(part, members=tuple(one for one in part.members if one in members))
            for part in self.parts
        )
        return replace(self, parts=tuple(part for part in parts if part.members))


class Wanted:
    """Reads one profile."""

    def __init__(
        self,
        profile: Entry[Profile],
        groups: Mapping[str, Entry[HostGroup]],
        members: Mapping[str, Sequence[Stanza]],
    ) -> None:
        self.mistakes: list[Mistake] = []
        self._profile, self._groups, self._members = profile, groups, members
        bundles: dict[str, list[Entry[PlacedGroup]]] = {}
        for placed in self._placed():
            name = placed.fields.host or placed.fields.group
            bundles.setdefault(name, []).append(placed)
        self.hosts = [
            host for name, entries in bundles.items() for host in self._bundle(name, entries)
        ]
        self._check_names()

    def _placed(self) -> Iterator[Entry[PlacedGroup]]:
        seen: set[str] = set()
        for index, placed in enumerate(self._profile.fields.groups):
            entry = Entry(placed, self._profile.places, f"groups[{index}]")
            if placed.group in seen:
                self.mistakes.append(entry.mistake("group", f"`{placed.group}` stands here twice"))
            elif placed.group in self._groups:
                yield entry
            seen.add(placed.group)

    def replicas_of(self, placed: PlacedGroup) -> int:
        """Processes of a group: the profile's word, else the group's, within the profile's most."""
        group = self._groups[placed.group].fields
        count = placed.replicas if placed.HasField("replicas") else group.replicas or 1
        return min(count, self._profile.fields.replicas_max or count)

    def _bundle(self, name: str, entries: list[Entry[PlacedGroup]]) -> Iterator[WantedHost]:
        counts = [self.replicas_of(entry.fields) for entry in entries]
        for entry, count in zip(entries, counts, strict=True):
            self._check_members(entry, count)
            self._check_gpu(entry)
            if count != counts[0]:
                first = f"`{entries[0].fields.group}` has {counts[0]}"
                said = f"{count} processes, and on the same host {first}: say `replicas` alike"
                self.mistakes.append(entry.mistake("replicas", said))
            self._check_alike(entries[0], entry)
        machines = self._machines(entries)
        for number in range(counts[0]):
            every = (self._part(entry, number) for entry in entries)
            parts = tuple(part for part in every if part.members or part.is_warm)
            if parts:
                title = name if number == 0 else f"{name}-{number + 1}"
                yield from WantedHost(title, name, machines, parts).split()
            elif number == 0:
                said = f"no agent is served by `{name}`: leave it out, or give it agents"
                self.mistakes.append(entries[0].mistake("group", said))
            else:
                said = f"process {number + 1} of `{name}` has no agent: its agents' `replicas` are "
                self.mistakes.append(entries[0].mistake("replicas", f"{said}{number} at most"))

    def _check_alike(self, first: Entry[PlacedGroup], entry: Entry[PlacedGroup]) -> None:
        """A process has one program."""
        ours, theirs = (self._groups[one.fields.group].fields for one in (entry, first))
        if asks.runtime(ours) != asks.runtime(theirs):
            said = f"`{ours.name}` and `{theirs.name}` are of different runtimes: give it a host"
            self.mistakes.append(entry.mistake("host", f"{said} of its own"))

    def _part(self, entry: Entry[PlacedGroup], number: int) -> Part:
        group = entry.fields.group
        serving = [one for one in self._members[group] if (one.fields.replicas or 1) > number]
        return Part(entry, self._groups[group], tuple(serving))

    def _check_members(self, entry: Entry[PlacedGroup], count: int) -> None:
        group = entry.fields.group
        most = self._profile.fields.replicas_max or 64
        for stanza in self._members[group] if count else ():
            wanted = min(stanza.fields.replicas or 1, most)
            if wanted > count:
                said = (
                    f"`{stanza.fields.name}` wants {wanted} processes, and its group `{group}` has "
                    f"{count} in profile `{self._profile.fields.name}`: say {count} here, or "
                    f"`replicas: {wanted}` there"
                )
                self.mistakes.append(stanza.entry.mistake("replicas", said))

    def _check_gpu(self, entry: Entry[PlacedGroup]) -> None:
        group = self._groups[entry.fields.group]
        shares = {
            one.fields.name: one.fields.gpu_percent for one in self._members[group.fields.name]
        }
        asked, has = sum(shares.values()), group.fields.gpu_percent
        if has and asked > has:
            told = ", ".join(f"{name} {share}" for name, share in shares.items() if share)
            said = f"its agents ask for {asked} % ({told}): ask for {asked - has} less"
            self.mistakes.append(group.mistake("gpu_percent", said))

    def _machines(self, entries: list[Entry[PlacedGroup]]) -> tuple[str, ...]:
        """Where all groups of a host may run, as the first of them prefers."""
        ours = tuple(self._profile.fields.machines)
        allowed: tuple[str, ...] | None = None
        for entry in entries:
            group = self._groups[entry.fields.group].fields
            own = [one for one in entry.fields.machines or group.machines or ours if one in ours]
            before = own if allowed is None else allowed
            allowed = tuple(one for one in before if one in own)
            if not allowed and ours:
                others = ", ".join(entry.fields.machines or group.machines or before)
                said = (
                    f"`{group.name}` may run on {others}, of which profile "
                    f"`{self._profile.fields.name}` leaves none: say `machines: [{ours[0]}]` here"
                )
                at = "machines" if entry.fields.machines else "group"
                self.mistakes.append(entry.mistake(at, said))
                break
        return allowed or ()

    def _check_names(self) -> None:
        seen: dict[str, str] = {}
        for host in self.hosts:
            if seen.setdefault(host.name, host.bundle) != host.bundle:
                said = f"a host of `{seen[host.name]}` is called `{host.name}` too: rename one"
                self.mistakes.append(host.parts[0].placed.mistake("group", said))
            for name in (f"{machine}-{host.name}" for machine in host.machines):
                if len(name) > _NAME_MAX:
                    said = f"`{name}` is {len(name)} long, and the registry takes {_NAME_MAX}"
                    self.mistakes.append(host.parts[0].placed.mistake("group", said))
