"""Whom the fleet has, by the names that callers use. What is known is answered from here; what is
not is looked for, and what is old is asked for again while callers have what was known before.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.descriptor import ServiceDescriptor

from services.gateway.http.denied import Denied, denied
from tandem.gateway.v1 import errors_pb2 as errors
from tandem.options.v1 import options_pb2 as options
from tandemkit.core.clock import Clock
from tandemkit.core.names import AgentName
from tandemkit.hosting.fleet_methods import FleetMethods, Untold
from tandemkit.rpc.contract import Method
from tandemkit.supervise.errands import Errands

# A newer version of an agent is known that soon, once somebody asks.
_KEEP_S: Final = 30.0
# Who asks for what is not there makes us look that often, and who lists all.
_LOOK_S: Final = 1.0
_RETRY_S: Final = 1.0


@dataclass(frozen=True, eq=False)
class Service:
    """One agent, by its full name, its short one and other spellings."""

    descriptor: ServiceDescriptor
    short: str
    aliases: tuple[str, ...]
    methods: Mapping[str, Method]

    @classmethod
    def of(cls, descriptor: ServiceDescriptor) -> Service:
        said: Any = descriptor.GetOptions()
        return cls(
            descriptor,
            _short(descriptor.full_name),
            tuple(said.Extensions[options.aliases]),
            {one.name: Method.of(one) for one in descriptor.methods},
        )

    @property
    def name(self) -> str:
        """The full name."""
        return str(self.descriptor.full_name)


class Directory:
    """All agents of the fleet, as they were told last. `version` changes with what is known."""

    def __init__(self, methods: FleetMethods, clock: Clock) -> None:
        self._methods, self._clock = methods, clock
        self._services: tuple[Service, ...] = ()
        self._by_name: dict[str, Service] = {}
        self._learned_s = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._errands = Errands()
        self.version = 0

    async def services(self) -> tuple[Service, ...]:
        """By their full names, as of a moment ago; as they were known last where no control
        answers. Raises Denied where nothing was ever known.
        """
        await self._fresh(_LOOK_S)
        return self._services

    async def service(self, name: str) -> Service:
        """By any of its names. Raises Denied."""
        found = self._by_name.get(name)
        if found is None:
            await self._fresh(_LOOK_S)
            found = self._by_name.get(name)
        elif self._age_s >= _KEEP_S and self._asking is None:
            self._ask()
        if found is None:
            raise self._unknown(name)
        return found

    async def method(self, agent: str, name: str) -> Method:
        """Raises Denied."""
        service = await self.service(agent)
        found = service.methods.get(name)
        if found is None:
            # It may have come with a newer version.
            await self._fresh(_LOOK_S)
            service = await self.service(agent)
            found = service.methods.get(name)
        if found is None:
            reason = errors.ERROR_REASON_METHOD_UNKNOWN
            message = f"the agent has no such method{_near(name, service.methods)}"
            raise denied(reason, message, agent=service.name, method=name)
        return found

    async def is_public(self, agent: str, name: str) -> bool:
        """Whether anybody may call it. Strangers ask this, and have control asked no more often
        than others do.
        """
        await self._fresh(_KEEP_S)
        service = self._by_name.get(agent)
        method = service.methods.get(name) if service is not None else None
        return method is not None and method.public

    @property
    def _age_s(self) -> float:
        return self._clock.monotonic_s() - self._learned_s

    async def _fresh(self, age_s: float) -> None:
        """Known no longer ago than that, or as well as can be."""
        if self._age_s >= age_s:
            task = self._asking or self._ask()
            # Others wait for the same: who leaves takes it from nobody.
            await asyncio.shield(task)
        if self._learned_s == float("-inf"):
            reason = errors.ERROR_REASON_CONTRACTS_UNREACHABLE
            message = "no control answers that knows the agents of the fleet"
            raise denied(reason, message, retry_after_s=_RETRY_S)

    def _ask(self) -> asyncio.Task[None]:
        self._asking = self._errands.start(self._learn())
        return self._asking

    async def _learn(self) -> None:
        try:
            told = await self._methods.services()
        except Untold:
            # What is known stands.
            return
        finally:
            self._asking = None
        self._learned_s = self._clock.monotonic_s()
        if [one.descriptor for one in self._services] == told:
            return
        known = {one.descriptor: one for one in self._services}
        self._services = tuple(known.get(one) or Service.of(one) for one in told)
        self._by_name = _by_name(self._services)
        self.version += 1

    def _unknown(self, name: str) -> Denied:
        shorts = [one.short for one in self._services]
        message = f"no agent of the fleet has the name{_near(name, shorts)}"
        return denied(errors.ERROR_REASON_AGENT_UNKNOWN, message, agent=name[:_NAME_CHARS_MAX])


_NAME_CHARS_MAX: Final = 256


def _by_name(services: tuple[Service, ...]) -> dict[str, Service]:
    """A full name is nobody else's alias, and a short one no other's."""
    found = {alias: one for one in reversed(services) for alias in one.aliases}
    found |= {one.short: one for one in services}
    return found | {one.name: one for one in services}


def _short(service: str) -> str:
    """The full name of what is not an agent of ours."""
    try:
        return AgentName.of(service).short
    except ValueError:
        return service


def _near(name: str, known: Mapping[str, object] | list[str]) -> str:
    found = difflib.get_close_matches(name[:_NAME_CHARS_MAX], list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""
