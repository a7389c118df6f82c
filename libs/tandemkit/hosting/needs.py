"""An agent waits for those that it cannot do without, once: what is lost later fails its calls and
not its health, or one loss would take everybody along who depends on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import grpc
from google.protobuf.descriptor import FileDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandemkit.core.errors import Failure
from tandemkit.rpc import channel
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.health import SERVING

_ANSWER_WITHIN_S = 1.0


class Waiting(Failure):
    """Agents that this one calls have not been seen to serve yet."""


class Fleet:
    """What the controls know of agents that serve elsewhere; nothing where there are none."""

    def __init__(self, controls: Sequence[str]) -> None:
        self._controls = controls
        # Whether no control answered when one was asked last.
        self.is_silent = False

    async def serves(self, service: str) -> bool:
        """Whether the first control that answers says so."""
        self.is_silent = False
        for control in self._controls:
            request = health_pb2.HealthCheckRequest(service=service)
            try:
                async with channel.shared(control) as wire:
                    health = health_pb2_grpc.HealthStub(wire)
                    answer = await health.Check(request, timeout=_ANSWER_WITHIN_S)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    return False
                continue
            return bool(answer.status == SERVING)
        self.is_silent = bool(self._controls)
        return False


class Needs:
    """The `calls` of one agent that nobody was seen to serve yet."""

    def __init__(
        self, calls: Iterable[FileDescriptor], serves_here: Callable[[str], bool], fleet: Fleet
    ) -> None:
        self._missing = [Contract.of(file).service.full_name for file in calls]
        self._serves_here, self._fleet = serves_here, fleet

    async def met(self) -> None:
        """Raises Waiting until each of them has been seen. A control that is frozen costs a second
        for all of them together.
        """
        seen = await asyncio.gather(*map(self._seen, self._missing))
        self._missing = [
            one for one, is_seen in zip(self._missing, seen, strict=True) if not is_seen
        ]
        if self._missing:
            message = "it calls agents that have not been seen to serve"
            more = {"cause": "no control answers"} if self._fleet.is_silent else {}
            raise Waiting(message, agents=", ".join(self._missing), **more)

    async def _seen(self, service: str) -> bool:
        return self._serves_here(service) or await self._fleet.serves(service)
