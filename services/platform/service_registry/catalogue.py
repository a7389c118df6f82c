"""Who offers what: services that were registered, and the agents of the fleet, by their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from tandem.control.v1 import registration_pb2 as control
from tandem.platform.v1 import service_registry_service_pb2 as pb
from tandemkit.core.names import AgentName

# Keys of registrations in the fleet's registry.
PREFIX = "services/"


def key_of(service: str, identity: str) -> str:
    return f"{PREFIX}{service}/{identity}"


@dataclass(frozen=True, slots=True)
class Offer:
    """One instance, whether it is well by its host's word (None where nobody has said), and the
    owner of the lease that it stands under.
    """

    instance: pb.ServiceInstance
    serving: bool | None = None
    owner: str = ""

    @property
    def key(self) -> str:
        return key_of(self.instance.service, self.instance.id)


@dataclass
class Catalogue:
    """As the registry told it. `aliases` are those of contracts, by their full names."""

    registered: dict[str, Offer] = field(default_factory=dict)
    hosts: dict[str, control.Host] = field(default_factory=dict)
    aliases: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def named(self, name: str) -> list[Offer]:
        """All that bear the name, as theirs or as an alias, in the order of their ids."""
        found = [one for one in self.offers() if name in names_of(one)]
        return sorted(found, key=lambda one: (one.instance.service, one.instance.id))

    def offers(self) -> Iterator[Offer]:
        yield from self.registered.values()
        yield from self._agents()

    def services(self) -> dict[str, list[Offer]]:
        """All, by the service's own name, in the order of names."""
        found: dict[str, list[Offer]] = {}
        for one in self.offers():
            found.setdefault(one.instance.service, []).append(one)
        return dict(sorted(found.items()))

    def is_agents(self, names: Iterable[str]) -> bool:
        """Whether any of the names is one that an agent has."""
        taken = {name for one in self._agents() for name in names_of(one)}
        return not taken.isdisjoint(names)

    def near(self, name: str) -> list[str]:
        """Names that look like one that nobody has."""
        known = {each for one in self.offers() for each in names_of(one)}
        return get_close_matches(name, sorted(known), 3, 0.6)

    def machines(self) -> set[str]:
        """Addresses of the fleet's machines."""
        return {host.address for host in self.hosts.values()}

    def _agents(self) -> Iterator[Offer]:
        for host in self.hosts.values():
            for placed in host.placements:
                short = _short(placed.service)
                aliases = list(self.aliases.get(placed.service, ()))
                if placed.instance:
                    # Other names of the contract are the default instance's.
                    aliases = []
                instance = pb.ServiceInstance(
                    service=placed.instance or short,
                    id=host.name.removeprefix("hosts/"),
                    host=host.address,
                    port=host.port,
                    aliases=aliases,
                    contract=placed.service,
                    machine=host.machine,
                )
                yield Offer(instance, placed.serving)


def names_of(offer: Offer) -> set[str]:
    instance = offer.instance
    names = {instance.service, *instance.aliases}
    if instance.contract and instance.service == _short(instance.contract):
        names.add(instance.contract)
    return names


def health_urls(registered: Mapping[str, Offer]) -> dict[str, str]:
    """What is to be asked, by key."""
    urls = {key: one.instance.health_url for key, one in registered.items()}
    return {key: url for key, url in urls.items() if url}


def _short(service: str) -> str:
    try:
        return AgentName.of(service).short
    except ValueError:  # a contract of another language's host, by its full name
        return service
