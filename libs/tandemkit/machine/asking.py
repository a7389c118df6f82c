"""Asks a host for something of one of its agents, by the HostService that the kit answers."""

from __future__ import annotations

from typing import Any

import grpc

from tandem.control.v1 import host_service_pb2 as pb
from tandem.control.v1 import host_service_pb2_grpc as rpc
from tandemkit.core.errors import Failure
from tandemkit.core.token import Token
from tandemkit.machine.commands import Command
from tandemkit.rpc import channel
from tandemkit.rpc.bearing import bearing
from tandemkit.rpc.remote import RemoteFailure

# Longer than a host takes to answer, whatever it is asked for.
_ANSWER_WITHIN_S = 25.0


class HostRefused(Failure):
    """The host did not do it, or did not answer: `code` and `reason` are as it sent them."""

    def __init__(self, found: RemoteFailure) -> None:
        super().__init__(found.message or found.code.name, **found.metadata)
        self.code, self.reason = found.code, found.reason


class Asking:
    """At the host's own address, with the fleet's token."""

    def __init__(self, token: Token) -> None:
        self._token = token

    async def command(self, address: str, agent: str, command: Command) -> bool:
        """Returns whether it was so already. Raises HostRefused."""
        request = pb.CommandAgentRequest(agent=agent, verb=command.verb, note=command.note)
        async with channel.shared(address) as wire:
            stub: Any = rpc.HostServiceStub(bearing(wire, self._token))
            try:
                answer = await stub.CommandAgent(request, timeout=_ANSWER_WITHIN_S)
            except grpc.aio.AioRpcError as error:
                raise HostRefused(RemoteFailure.of(error)) from error
        return bool(answer.was_so_already)
