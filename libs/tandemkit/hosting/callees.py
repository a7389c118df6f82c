"""What an agent may call: the agents that it declares, on the one mesh of its host."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import grpc
from google.protobuf.descriptor import FileDescriptor

from tandemkit.core.errors import Bug
from tandemkit.core.token import Token
from tandemkit.hosting.agent_caller import AgentCaller
from tandemkit.hosting.fleet_methods import FleetMethods
from tandemkit.hosting.relay import Relay
from tandemkit.rpc.callers import AGENTS, Callers
from tandemkit.rpc.client import Mesh
from tandemkit.rpc.contract import Contract

Stub = TypeVar("Stub")


class Callees:
    """Makes the stubs of one agent. All agents of a host share the mesh."""

    def __init__(
        self,
        caller: str,
        declared: Iterable[FileDescriptor],
        mesh: Mesh,
        anybody: FleetMethods | None = None,
    ) -> None:
        """`anybody` for an agent that may call whom it did not name."""
        self._caller = caller
        self._declared = {Contract.of(file).service.full_name for file in declared}
        self._mesh = mesh
        self._anybody = anybody

    def stub(self, make: Callable[[grpc.aio.Channel], Stub], at_once_max: int = 0) -> Stub:
        """Raises Bug for an agent that is not declared."""
        for service in sorted(_services_of(make) - self._declared):
            raise Bug(
                "an agent calls what it declares: add the contract's DESCRIPTOR to `calls` of its "
                "AGENT, or to `soft_calls` if it can do without for a while",
                agent=self._caller,
                undeclared=service,
            )
        return self._mesh.stub(make, at_once_max, f"{AGENTS}{self._caller}")

    def caller(self) -> AgentCaller:
        """Raises Bug for an agent that does not say so."""
        return AgentCaller(self._mesh, self._all_methods(), f"{AGENTS}{self._caller}")

    def relay(self, token: Token | None, callers: Callers) -> Relay:
        """By what its callers show of `token`. Raises Bug for an agent that does not say so."""
        return Relay(self._mesh, self._all_methods(), token, callers)

    def _all_methods(self) -> FleetMethods:
        if self._anybody is None:
            raise Bug(
                "an agent that makes calls which others describe declares it: add "
                "`calls_any=True` to its AGENT",
                agent=self._caller,
            )
        return self._anybody


class _Listener:
    """A channel as far as a stub can tell; it hears whose methods the stub is for."""

    def __init__(self) -> None:
        self.services: set[str] = set()

    def unary_unary(self, path: str, *_codecs: Any, **_options: Any) -> None:
        self.services.add(path.split("/")[1])

    unary_stream = stream_unary = stream_stream = unary_unary


def _services_of(make: Callable[[Any], object]) -> set[str]:
    listener = _Listener()
    make(listener)
    return listener.services
