"""Instances that are added to running hosts, by the HostService that the kit answers there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from tandem.control.v1 import host_service_pb2 as pb
from tandem.control.v1 import host_service_pb2_grpc as rpc
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandem.fleet.v1.plan_pb2 import PlannedAgent
from tandemkit.core.token import Token
from tandemkit.machine.asking import HostRefused
from tandemkit.rpc import channel
from tandemkit.rpc.bearing import bearing
from tandemkit.rpc.remote import RemoteFailure

# Longer than a host takes to answer, whatever it is asked for; and for what it says at once.
_ANSWER_WITHIN_S, _LOOK_WITHIN_S = 25.0, 2.0


class Guests:
    """At each host's own address, with the fleet's token. All raise HostRefused."""

    def __init__(self, token: Token | None, note: policy.ChangeNote) -> None:
        self._token, self._note = token, note

    async def add(self, address: str, agent: PlannedAgent) -> nouns.AgentStanding:
        """Returns when it serves, or why it does not yet."""
        request = pb.AddAgentRequest(agent=agent, note=self._note)
        async with self._stub(address) as stub:
            answer = await stub.AddAgent(request, timeout=_ANSWER_WITHIN_S)
        standing: nouns.AgentStanding = answer.agent
        return standing

    async def remove(self, address: str, name: str) -> None:
        """Behind its calls in progress."""
        request = pb.RemoveAgentRequest(name=name, note=self._note)
        async with self._stub(address) as stub:
            await stub.RemoveAgent(request, timeout=_ANSWER_WITHIN_S)

    async def look(self, address: str) -> Sequence[nouns.AgentStanding]:
        """Those that were added, as they are now."""
        async with self._stub(address) as stub:
            call = stub.WatchHost(pb.WatchHostRequest(), timeout=_LOOK_WITHIN_S)
            try:
                told = await call.read()
            finally:
                call.cancel()
        return [one for one in told.agents if one.added]

    @asynccontextmanager
    async def _stub(self, address: str) -> AsyncIterator[Any]:
        try:
            async with channel.shared(address) as wire:
                yield rpc.HostServiceStub(bearing(wire, self._token) if self._token else wire)
        except grpc.aio.AioRpcError as error:
            raise HostRefused(RemoteFailure.of(error)) from error
