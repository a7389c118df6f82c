"""What a runtime brings to the suite: how a host of it is started, and calls of its agent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message

from tandem.fleet.v1.plan_pb2 import PlannedHost
from tandemkit.machine.home import Home
from tandemkit.machine.orders import Order
from tandemkit.rpc.contract import Contract, Method

Argv = Callable[[Order, Home], tuple[str, ...]]


@dataclass(frozen=True)
class Asked:
    """One call of the agent: the method's name, its request, and whether an answer is right."""

    method: str
    request: Message
    is_right: Callable[[Any], bool] = lambda _answer: True


@dataclass(frozen=True)
class Refused:
    """A call that the agent itself refuses, with a reason of its family."""

    method: str
    request: Message
    reason: str


@dataclass(frozen=True)
class Broken:
    """A call that breaks the rules of its contract at `field`."""

    method: str
    request: Message
    field: str


@dataclass(frozen=True)
class Held:
    """A call with a stream of requests, so that it lasts as long as its caller wants. The contract
    limits how many there may be, and how long each takes.
    """

    method: str
    first: Message
    rest: Message
    is_right: Callable[[Any], bool] = lambda _answer: True


@dataclass(frozen=True)
class Runtime:
    """One runtime under test. `argv` is the supervisor's, `kind` what a plan says of the host."""

    name: str
    argv: Argv
    file: FileDescriptor
    good: Asked
    refused: Refused
    broken: Broken
    held: Held
    planned: PlannedHost

    @property
    def contract(self) -> Contract:
        return Contract.of(self.file)

    @property
    def service(self) -> str:
        """Full name of what its agent serves."""
        name: str = self.contract.service.full_name
        return name

    @property
    def agent(self) -> str:
        """The agent's short name."""
        return self.contract.name.short

    def method(self, name: str) -> Method:
        return next(one for one in self.contract.methods if one.name == name)
