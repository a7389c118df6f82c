"""Agents as Consul services, for people and other tools: the mesh itself goes by leases."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tandemkit.registry.consul_http import ConsulHttp, Request

CHECK_INTERVAL_S = 10.0
_CHECK_WITHIN_S = 2.0
# Of a check that nobody has to repeat.
_FOR_GOOD = "87600h"
# Consul's own floor: it removes a critical service after a minute at the earliest.
_GONE_AFTER = "1m"
# What is ours among the services of a Consul agent, whose it is, and as what it was announced.
_FLEET, _AGENT = "tandem-fleet", "tandem-agent"
_HOLD, _MARK = "tandem-hold", "tandem-mark"


@dataclass(frozen=True, slots=True)
class ServedAgent:
    """One agent of one host. `hold` is the host's lease: who announces it anew has another one.

    The address is as seen from the Consul agent of this machine. `meta` is for people.
    """

    host: str
    instance: str
    service: str
    address: str
    port: int
    hold: str
    is_serving: bool = True
    tags: tuple[str, ...] = ()
    meta: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """One agent may be served by several hosts of a machine."""
        return f"{self.host}:{self.instance}"

    @property
    def mark(self) -> str:
        """Tells whether it is shown as it is."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Shown:
    """An agent as this machine's Consul has it: its key, and what it was announced with."""

    agent: str
    hold: str
    mark: str


class ConsulServices:
    """What this machine's Consul agent shows of our fleet. Every call may be made again."""

    def __init__(self, http: ConsulHttp, interval_s: float = CHECK_INTERVAL_S) -> None:
        self._http = http
        self._fleet = http.settings.prefix
        self._interval_s = interval_s

    async def shown(self) -> list[Shown]:
        """Everything of this fleet, whoever announced it."""
        path, ours = "/v1/agent/services", {"filter": f'Meta["{_FLEET}"] == "{self._fleet}"'}
        found = (await self._http.ask(Request("GET", path, ours, again=True))).parsed()
        metas = [one["Meta"] for one in found.values()]
        return [
            Shown(said.get(_AGENT, ""), said.get(_HOLD, ""), said.get(_MARK, "")) for said in metas
        ]

    async def announce(self, agent: ServedAgent) -> None:
        """Adds or replaces it. What its checks found last stays, but for what it says itself, which
        holds at once; of a new one its word is all there is until the first check.
        """
        path, replace = "/v1/agent/service/register", {"replace-existing-checks": "true"}
        await self._http.ask(Request("PUT", path, replace, self._service(agent), again=True))
        path = f"/v1/agent/check/update/{quote(self._said(agent), safe='')}"
        await self._http.ask(Request("PUT", path, body={"Status": _status(agent)}, again=True))

    async def withdraw(self, one: Shown) -> None:
        """Takes it away at once; harmless where it is gone."""
        identity = quote(self._identity(one.agent), safe="")
        # Not found is as good as removed.
        await self._http.ask(Request("PUT", f"/v1/agent/service/deregister/{identity}", again=True))

    def _identity(self, agent: str) -> str:
        """Two fleets may share a Consul."""
        return f"{self._fleet}:{agent}"

    def _said(self, agent: ServedAgent) -> str:
        return f"{self._identity(agent.key)}:said"

    def _service(self, agent: ServedAgent) -> dict[str, Any]:
        said = {"host": agent.host, "instance": agent.instance, "service": agent.service}
        own = {_FLEET: self._fleet, _AGENT: agent.key, _HOLD: agent.hold, _MARK: agent.mark}
        return {
            "ID": self._identity(agent.key),
            "Name": agent.instance,
            "Address": agent.address,
            "Port": agent.port,
            "Tags": list(agent.tags),
            "Meta": {**dict(agent.meta), **said, **own},
            "Checks": self._checks(agent),
        }

    def _checks(self, agent: ServedAgent) -> list[dict[str, str]]:
        """Its health as Consul finds it, whether its host is there, and what it says: who is ill
        stays in sight as critical, and only whose host is gone Consul removes.
        """
        where = f"[{agent.address}]" if ":" in agent.address else agent.address
        where, within = f"{where}:{agent.port}", _duration(_CHECK_WITHIN_S)
        identity = self._identity(agent.key)
        health = {
            "CheckID": f"{identity}:health",
            "Name": "gRPC health",
            "GRPC": f"{where}/{agent.service}",
            "Interval": _duration(self._interval_s),
            "Timeout": within,
            # Until its first answer; of a check that it knows Consul keeps the state.
            "Status": _status(agent),
        }
        reached = {
            "CheckID": f"{identity}:reached",
            "Name": "host is reached",
            "TCP": where,
            "Interval": _duration(self._interval_s),
            "Timeout": within,
            "Status": "passing",
            "DeregisterCriticalServiceAfter": _GONE_AFTER,
        }
        said = {
            "CheckID": self._said(agent),
            "Name": "what it says",
            "TTL": _FOR_GOOD,
            "Status": _status(agent),
        }
        return [health, reached, said]


def _status(agent: ServedAgent) -> str:
    return "passing" if agent.is_serving else "critical"


def _duration(duration_s: float) -> str:
    return f"{round(duration_s * 1000)}ms"
