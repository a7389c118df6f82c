"""The fleet's files and one profile, made into the plan that the launcher executes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tandem.fleet.v1 import plan_pb2 as pb
from tandem.fleet.v1.profile_pb2 import Profile
from tandem.fleet.v1.runtime_pb2 import Runtime
from tandemkit.fleet import placing
from tandemkit.fleet.describing import Describing
from tandemkit.fleet.hosts import Wanted
from tandemkit.fleet.layout import Layout
from tandemkit.fleet.limits import Limits
from tandemkit.fleet.naming import Naming
from tandemkit.fleet.needs import Calls, Graph, Scene, graph
from tandemkit.fleet.serving import Serving
from tandemkit.fleet.stanzas import Fleet
from tandemkit.written.marked import Entry, Mistake
from tandemkit.written.near import hint
from tandemkit.written.ports import PortBook
from tandemkit.written.variables import Variables


class PlanRefused(Exception):
    """Files that no plan can be made of: all their mistakes, by place."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(set(mistakes)))
        super().__init__("\n".join(map(str, self.mistakes)))


class NoSuchProfile(LookupError):
    """A profile that no file is called after."""


@dataclass(frozen=True)
class Blueprint:
    """All that is written down about a fleet. `calls` is what each service's agent declares, and
    `variables` what its files named.
    """

    fleet: Fleet
    layout: Layout
    ports: PortBook
    calls: Mapping[str, Calls]
    variables: Variables = field(default_factory=Variables)
    # What each service's agent is written in.
    runtimes: Mapping[str, Runtime.ValueType] = field(default_factory=dict)


def plan(blueprint: Blueprint, profile: str) -> pb.Plan:
    """Raises PlanRefused with everything that is wrong, and NoSuchProfile. The same blueprint gives
    the same bytes, serialized deterministically.
    """
    profiles = blueprint.layout.profiles
    if profile not in profiles:
        raise NoSuchProfile(f"there is no profile `{profile}`{hint(profile, profiles)}")
    planner = _Planner(blueprint, profiles[profile])
    if planner.mistakes:
        raise PlanRefused(planner.mistakes)
    return planner.described()


class _Planner:
    """Goes as far as the files allow, so that one look tells all that is wrong."""

    def __init__(self, blueprint: Blueprint, profile: Entry[Profile]) -> None:
        self._blueprint, self._profile = blueprint, profile
        layout = blueprint.layout
        self._serving = Serving(blueprint.fleet.stanzas, layout.groups, blueprint.runtimes)
        self.mistakes = [*blueprint.fleet.mistakes, *layout.mistakes]
        all_read = not self.mistakes
        self.mistakes += [*blueprint.ports.mistakes, *self._serving.mistakes]
        wanted = self._wanted(profile)
        self._hosts = wanted.hosts
        self.mistakes += wanted.mistakes
        run = [one for host in self._hosts for one in host.members]
        uses, name = blueprint.variables.uses, profile.fields.name
        self._naming = Naming(uses, name, blueprint.fleet.stanzas, run)
        self.mistakes += [] if profile.fields.lenient else self._naming.mistakes
        self._graph = self._needs()
        self.mistakes += self._graph.cycles
        # Who is missing may stand in the very lines that could not be read.
        self.mistakes += self._graph.missing if all_read else []
        self._limits = Limits(layout, self._hosts)
        self._rooms = self._furnished()

    def described(self) -> pb.Plan:
        """Only where there is no mistake."""
        describing = Describing(self._graph, self._limits, self._blueprint.ports)
        rooms = [self._rooms[name] for name in self._profile.fields.machines]
        found = describing.plan(self._profile.fields.name, rooms)
        if describing.mistakes:
            raise PlanRefused(describing.mistakes)
        profile = self._profile.fields
        if profile.HasField("state"):
            found.state.CopyFrom(profile.state)
        if profile.HasField("secrets"):
            found.secret_sources.CopyFrom(profile.secrets)
        found.variables.extend(self._naming.described())
        found.remarks.extend(self._naming.remarks)
        return found

    def _wanted(self, profile: Entry[Profile]) -> Wanted:
        groups = self._blueprint.layout.groups
        members = {name: self._serving.members(name) for name in groups}
        return Wanted(profile, groups, members)

    def _needs(self) -> Graph:
        stanzas = {one.fields.name: one for host in self._hosts for one in host.members}
        beside = {
            one.fields.service
            for name in self._profile.fields.beside
            if name in self._blueprint.layout.profiles
            for host in self._wanted(self._blueprint.layout.profiles[name]).hosts
            for one in host.members
        }
        scene = Scene(self._profile, self._serving, dict(sorted(stanzas.items())), beside)
        return graph(scene, self._blueprint.calls)

    def _furnished(self) -> dict[str, placing.Room]:
        layout = self._blueprint.layout
        scale = self._profile.fields.memory_scale or 1.0
        pools = [entry.fields for entry in layout.pools.values()]
        rooms = {}
        for name in self._profile.fields.machines:
            if name not in layout.machines:
                continue
            entry = layout.machines[name]
            rooms[name] = placing.Room.of(entry.fields, pools, scale)
            said = placing.over_machine(entry, pools, scale)
            if said:
                self.mistakes.append(self._profile.mistake("memory_scale", said))
        hosts = [one for one in self._hosts if all(name in rooms for name in one.machines)]
        self.mistakes += placing.place(hosts, rooms)
        self.mistakes += self._limits.mistakes(rooms)
        return rooms
