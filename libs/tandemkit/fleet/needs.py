"""Who waits for whom, from what the agents declare: never written down a second time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tandem.fleet.v1.profile_pb2 import Profile
from tandem.fleet.v1.resources_pb2 import Priority
from tandemkit.core import layers
from tandemkit.core.names import AgentName
from tandemkit.fleet import asks
from tandemkit.fleet.serving import Serving
from tandemkit.fleet.stanzas import Stanza
from tandemkit.written.marked import Entry, Mistake

# Every host registers there, so every agent stands behind it without saying so.
REGISTRY = "tandem.control.v1.RegistryService"


@dataclass(frozen=True, slots=True)
class Calls:
    """What an agent declares, as full names of services."""

    hard: tuple[str, ...] = ()
    soft: tuple[str, ...] = ()


@dataclass
class Graph:
    """The instances of one profile, and for each those that must serve before it can."""

    waits_for: dict[str, tuple[str, ...]] = field(default_factory=dict)
    cycles: list[Mistake] = field(default_factory=list)
    missing: list[Mistake] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def layer_of(self) -> dict[str, int]:
        """Each instance's layer. Raises layers.Cycle, which a graph without mistakes has not."""
        found = layers.in_layers(self.waits_for)
        return {name: number for number, layer in enumerate(found) for name in layer}

    def priorities(self, stanzas: Mapping[str, Stanza]) -> dict[str, Priority.ValueType]:
        """What an urgent agent cannot do without is as urgent."""
        found = {name: asks.priority(one.fields) for name, one in stanzas.items()}
        for layer in reversed(layers.in_layers(self.waits_for)):
            for name in layer:
                for callee in self.waits_for[name]:
                    found[callee] = max(found[callee], found[name])
        return found


@dataclass(frozen=True)
class Scene:
    """A profile with what runs in it, and beside it on other machines."""

    profile: Entry[Profile]
    serving: Serving
    stanzas: Mapping[str, Stanza]
    beside: Collection[str]

    def instances_of(self, service: str) -> tuple[str, ...]:
        """Who answers a call of the service: the default instance, or else all others."""
        names = [name for name, one in self.stanzas.items() if one.fields.service == service]
        default = AgentName.of(service).short
        return (default,) if default in names else tuple(sorted(names))

    def how_to_get(self, service: str) -> str:
        """What is to be added, and where."""
        groups = self.serving.groups_with(service)
        if groups:
            file = self.profile.places.path
            return f"add `- group: {groups[0]}`, which serves it, to {file}, with `replicas` over 0"
        family = AgentName.of(service).family
        return f"add a stanza of it to deploy/fleet/{family}.yaml"


def graph(scene: Scene, calls: Mapping[str, Calls]) -> Graph:
    """With all cycles and all missing providers as mistakes."""
    found = Graph()
    for name, stanza in scene.stanzas.items():
        declared = calls.get(stanza.fields.service, Calls())
        hard = _answered(scene, stanza, declared.hard, found)
        found.waits_for[name] = tuple(dict.fromkeys((*hard, *_registry(scene, stanza))))
        for service in declared.soft:
            if not scene.instances_of(service) and service not in scene.beside:
                said = f"{name} calls {service}, which nobody serves: it can do without"
                found.remarks.append(said)
    for cycle in layers.cycles(found.waits_for):
        said = (
            f"a cycle of calls can never start: {' -> '.join(cycle)}; declare one of them in "
            "`soft_calls` of its AGENT"
        )
        found.cycles.append(scene.stanzas[cycle[0]].entry.mistake("service", said))
    if not scene.instances_of(REGISTRY) and REGISTRY not in scene.beside:
        said = f"no host could register, as nobody serves {REGISTRY}: {scene.how_to_get(REGISTRY)}"
        found.missing.append(scene.profile.mistake("groups", said))
    return found


def _answered(scene: Scene, stanza: Stanza, services: Sequence[str], found: Graph) -> list[str]:
    names: list[str] = []
    for service in services:
        instances = scene.instances_of(service)
        names += instances
        if not instances and service not in scene.beside:
            said = (
                f"`{stanza.fields.name}` cannot do without {service}, which nobody serves in "
                f"profile `{scene.profile.fields.name}`: {scene.how_to_get(service)}"
            )
            found.missing.append(stanza.entry.mistake("service", said))
    return names


def _registry(scene: Scene, stanza: Stanza) -> tuple[str, ...]:
    is_control = AgentName.of(stanza.fields.service).family == AgentName.of(REGISTRY).family
    return () if is_control else scene.instances_of(REGISTRY)
