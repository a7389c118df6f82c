"""One `tandem policy` command: what it was given, and the agent that it asks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click
import grpc
from google.protobuf.message import Message

from tandem.control.v1 import fleet_status_service_pb2 as status_pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as status_rpc
from tandem.control.v1 import traffic_policy_pb2 as nouns
from tandem.control.v1 import traffic_policy_service_pb2 as pb
from tandem.control.v1 import traffic_policy_service_pb2_grpc as rpc
from tandemkit.cli import noting
from tandemkit.cli.failure import describe
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit
from tandemkit.cli.reflection import Contracts, connected
from tandemkit.cli.running import controls_of
from tandemkit.core.environment import Environment
from tandemkit.core.names import AgentName

_ANSWER_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Session:
    """`note` is who asks, and why."""

    address: str
    as_json: bool
    note: nouns.ChangeNote
    allow_absent: bool = False

    @contextmanager
    def policies(self) -> Iterator[Policies]:
        """The agent behind the address. A call that it refuses is a no, with its reason."""
        with connected(self.address) as channel:
            try:
                yield Policies(channel)
            except grpc.RpcError as error:
                raise Refusal(describe(error).as_text(), EXIT_NO) from error

    def show_version(self, version: int, before: int) -> None:
        """What is in force now, and whether there is anything of ours to undo."""
        changed = version != before
        undone = f"version {version}; ./tandem policy undo {version} takes it back"
        same = f"version {version} says so already; nothing has changed"
        emit(
            {"version": version, "changed": changed},
            as_json=self.as_json,
            text=lambda: undone if changed else same,
        )


class Policies:
    """The agent's calls that commands share."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._stub: Any = rpc.TrafficPolicyServiceStub(channel)

    def service(self, name: str) -> str:
        """The full name of a service that is given by that, by its short name or by another
        spelling.
        """
        try:
            return AgentName.of(name).service
        except ValueError:
            return str(Contracts(self._channel).service(name).full_name)

    def ask(self, method: str, request: Message) -> Any:
        """The answer; the server's own deadline comes first, unless it hangs."""
        return getattr(self._stub, method)(request, timeout=_ANSWER_WITHIN_S)

    def change(self, session: Session, method: str, request: Message) -> None:
        """One call that makes a change, unless what it asks for is so already."""
        before = self.ask("GetPolicy", pb.GetPolicyRequest()).version
        session.show_version(self.ask(method, request).version, before)

    def publication(self) -> status_pb.GetPublicationResponse | None:
        """What the control behind the address tells clients; None where none is there."""
        stub: Any = status_rpc.FleetStatusServiceStub(self._channel)
        try:
            told: status_pb.GetPublicationResponse = stub.GetPublication(
                status_pb.GetPublicationRequest(), timeout=_ANSWER_WITHIN_S
            )
        except grpc.RpcError as error:
            if error.code() in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND}:
                return None
            raise
        return told

    def edit(
        self, session: Session, name: str, change: Callable[[nouns.ServicePolicy], None]
    ) -> None:
        """Changes the one service's policy, of the version that was read."""
        service = self.service(name)
        latest = self.ask("GetPolicy", pb.GetPolicyRequest())
        policy = nouns.ServicePolicy(service=service)
        for one in latest.policy.services:
            if one.service == service:
                policy.CopyFrom(one)
        change(policy)
        request = pb.SetServicePolicyRequest(
            policy=policy,
            note=session.note,
            expected_version=latest.version,
            allow_absent=session.allow_absent,
        )
        session.show_version(self.ask("SetServicePolicy", request).version, latest.version)


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command a session, and itself the options that make one."""

    @click.option("--address", help="host:port of a control (default: that of ./tandem up).")
    @as_json
    @functools.wraps(command)
    def asked(*, address: str | None, as_json: bool, **more: object) -> None:
        command(Session(_address(address), as_json, nouns.ChangeNote()), **more)

    return asked


def changing(command: Callable[..., None]) -> Callable[..., None]:
    """The same, for a command that changes the policy."""

    @noting.options
    @click.option("--allow-absent", is_flag=True, help="Take names that nobody bears yet.")
    @click.option("--address", help="host:port of a control (default: that of ./tandem up).")
    @as_json
    @functools.wraps(command)
    def asked(*, address: str | None, as_json: bool, allow_absent: bool, **more: Any) -> None:
        command(Session(_address(address), as_json, more.pop("note"), allow_absent), **more)

    return asked


def _address(said: str | None) -> str:
    return said or controls_of(Environment.read().home)[0]
