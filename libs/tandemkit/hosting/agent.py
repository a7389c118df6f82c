"""What an agent declares about itself. There is no base class: an agent is a generated servicer and
one declaration.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message

from tandem.fleet.v1.runtime_pb2 import RUNTIME_UNSPECIFIED, Runtime
from tandemkit.core.errors import Bug
from tandemkit.hosting import main
from tandemkit.hosting.scope import Scope
from tandemkit.rpc.contract import Contract

Build = Callable[[Scope, Any], AbstractAsyncContextManager[Any]]


def _in_its_language(_scope: Scope, _settings: object) -> AbstractAsyncContextManager[Any]:
    raise Bug("the agent is built by the program of its own language")


@dataclass(frozen=True)
class Agent:
    """One declaration, from which the kit derives names, server, health, start-up order and the
    command line.

    `contract` is the descriptor of the file that declares the service. `calls` are the contracts of
    the agents that must serve before this one can, `soft_calls` those that it can do without for a
    while. `calls_any` says that others tell it whom to call: `scope.caller()` reaches every agent.
    One that is written in another language says which by `runtime`, and has no `build` here.
    """

    contract: FileDescriptor
    build: Build = _in_its_language
    settings: type[Message] | None = None
    calls: tuple[FileDescriptor, ...] = ()
    soft_calls: tuple[FileDescriptor, ...] = ()
    calls_any: bool = False
    runtime: Runtime.ValueType = RUNTIME_UNSPECIFIED

    @cached_property
    def promise(self) -> Contract:
        """The contract, read."""
        return Contract.of(self.contract)

    @property
    def name(self) -> str:
        """The short name, which is also the name of the default instance."""
        return self.promise.name.short

    def main(self) -> None:
        """Serves this agent alone, as its .pex does."""
        main.serve_agents((self,))
