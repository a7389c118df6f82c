"""Agents as Consul services, for people and other tools: the mesh itself goes by leases."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tandemkit.registry.consul_http import ConsulHttp, Request
from tandemkit.registry.protocol import check_name

_INTERVAL_S = 10.0
_CHECK_WITHIN_S = 2.0
# Consul's own floor: it removes a critical service after a minute at the earliest.
_GONE_AFTER = "1m"
_FLEET, _HOST = "tandem-fleet", "tandem-host"


@dataclass(frozen=True, slots=True)
class ServingHost:
    """A host and where its gRPC server listens, as seen from the Consul agent of its machine."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class ServedAgent:
    """One agent of a host: its instance's name, such as `utility-files`, the full name of its
    contract, which is also what its health is asked by, and its version label.
    """

    name: str
    contract: str
    version: str
    tags: tuple[str, ...] = ()


class ConsulServices:
    """What this machine's Consul agent knows of our hosts. Every call says how things are, so it
    may be made again, and after a restart of either side.
    """

    def __init__(self, http: ConsulHttp, *, interval_s: float = _INTERVAL_S) -> None:
        self._http = http
        self._fleet = http.settings.prefix
        self._interval_s = interval_s

    async def announce(self, host: ServingHost, agents: Sequence[ServedAgent]) -> None:
        """Shows these agents, each with a gRPC check of its own health, and none of the host's
        others. A service is critical until its first check has passed.
        """
        check_name(host.name)
        for agent in agents:
            body = self._service(host, agent)
            path = "/v1/agent/service/register"
            replace = {"replace-existing-checks": "true"}
            await self._http.ask(Request("PUT", path, replace, body, again=True))
        wanted = {_identity(host.name, agent.name) for agent in agents}
        known = await self._known()
        await self._remove(one for one in known if known[one] == host.name and one not in wanted)

    async def withdraw(self, host: str) -> None:
        """Takes the host's services away at once: when it drains, or when its lease has ended."""
        known = await self._known()
        await self._remove(one for one in known if known[one] == host)

    async def retain(self, hosts: Collection[str]) -> None:
        """Takes away what belongs to other hosts than these: what died while nobody watched."""
        known = await self._known()
        await self._remove(one for one in known if known[one] not in hosts)

    async def _known(self) -> dict[str, str]:
        """The ids of this fleet's services on this machine, with their hosts."""
        path, ours = "/v1/agent/services", {"filter": f'Meta["{_FLEET}"] == "{self._fleet}"'}
        found = (await self._http.ask(Request("GET", path, ours, again=True))).parsed()
        return {identity: one["Meta"].get(_HOST, "") for identity, one in found.items()}

    async def _remove(self, identities: Iterable[str]) -> None:
        for identity in identities:
            path = f"/v1/agent/service/deregister/{quote(identity, safe='')}"
            # Not found is as good as removed.
            await self._http.ask(Request("PUT", path, again=True))

    def _service(self, host: ServingHost, agent: ServedAgent) -> dict[str, Any]:
        where = f"[{host.address}]" if ":" in host.address else host.address
        check = {
            "Name": "gRPC health",
            "GRPC": f"{where}:{host.port}/{agent.contract}",
            "Interval": _duration(self._interval_s),
            "Timeout": _duration(_CHECK_WITHIN_S),
            "DeregisterCriticalServiceAfter": _GONE_AFTER,
        }
        meta = {_FLEET: self._fleet, _HOST: host.name}
        return {
            "ID": _identity(host.name, agent.name),
            "Name": agent.name,
            "Address": host.address,
            "Port": host.port,
            "Tags": list(agent.tags),
            "Meta": {**meta, "contract": agent.contract, "version": agent.version},
            "Check": check,
        }


def _identity(host: str, agent: str) -> str:
    """One agent may be served by several hosts of a machine; names have no colon."""
    return f"{host.replace('/', ':')}:{agent}"


def _duration(duration_s: float) -> str:
    return f"{round(duration_s * 1000)}ms"
