"""How a host and its agents are, as the host itself tells its supervisor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import grpc

from tandem.control.v1 import host_service_pb2 as pb
from tandem.control.v1 import host_service_pb2_grpc as rpc
from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.core.token import Token
from tandemkit.rpc import channel
from tandemkit.rpc.bearing import bearing

_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Sight:
    """One host at a moment. `agents` are those of its plan, by the contract's full name; others
    were added.
    """

    agents: Mapping[str, nouns.AgentStanding] = field(default_factory=dict)
    is_draining: bool = False
    memory_bytes: int = 0
    cpu_s: float = 0.0
    added: Sequence[nouns.AgentStanding] = ()

    def differs(self, other: Sight | None) -> bool:
        """Whether more is new than what was used and who was called."""
        return other is None or self.substance != other.substance

    @property
    def substance(self) -> object:
        """What people and commands wait for."""
        agents = {
            service: (one.state, one.cause, one.restarts, tuple(one.missing_secrets))
            for service, one in self.agents.items()
        }
        return agents, self.is_draining, list(self.added)


Tell = Callable[[Sight], None]


class Watching(Protocol):
    """How hosts are looked at."""

    async def watch(self, address: str, tell: Tell) -> None:
        """Tells how the host at the address is, and each change, until cancelled; nothing before it
        answers.
        """


class HostWatching:
    """By the HostService that the kit answers on every host."""

    def __init__(self, clock: Clock, token: Token) -> None:
        self._clock, self._token = clock, token

    async def watch(self, address: str, tell: Tell) -> None:
        async with channel.shared(address) as wire:
            stub = rpc.HostServiceStub(bearing(wire, self._token))
            while True:
                try:
                    call: Any = stub.WatchHost(pb.WatchHostRequest(), wait_for_ready=True)
                    async for told in call:
                        tell(_sight(told))
                except grpc.aio.AioRpcError:
                    # Its process ended, or is about to: that the kernel tells.
                    pass
                await self._clock.sleep(_AGAIN_S)


def _sight(told: pb.WatchHostResponse) -> Sight:
    agents = {one.service: one for one in told.agents if not one.added}
    added = tuple(one for one in told.agents if one.added)
    cpu_s = told.cpu.ToTimedelta().total_seconds()
    return Sight(agents, told.draining, told.memory_bytes, cpu_s, added)
