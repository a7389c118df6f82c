"""Who is asked for names: the machine's supervisor, control, and a server's reflection, each for a
fraction of a second; and the contracts of this checkout.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc
from google.protobuf.descriptor import FieldDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tandem.control.v1 import fleet_status_service_pb2 as status_pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as status_rpc
from tandem.control.v1 import machine_service_pb2 as machine_pb
from tandem.control.v1 import machine_service_pb2_grpc as machine_rpc
from tandemkit.cli import running
from tandemkit.cli.call_flags import flags_of, names_of, repeated
from tandemkit.cli.credential import showing
from tandemkit.cli.image_pool import pool_of
from tandemkit.cli.output import Refusal
from tandemkit.cli.reflection import Contracts, aliases_of, short
from tandemkit.core.environment import Environment
from tandemkit.written.contract_comments import Comments, image_of

_ANSWER_WITHIN_S = 0.15
_PAGE = 1000
_COMMENT_CHARS_MAX = 72


class Unasked(Exception):
    """Nobody answered in time, or there is nobody."""


@dataclass(frozen=True, slots=True)
class Names:
    """`hosts` and `groups` are this machine's, `fleet_hosts` as the registry knows them."""

    services: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    fleet_hosts: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """One flag of a request: the beginning of its comment, and the values that it may have."""

    comment: str = ""
    values: tuple[str, ...] = ()


def names(environment: Environment) -> Names:
    """What supervisor and control know, whichever of them answers."""
    control = running.controls_of(environment.home)[0]
    request = status_pb.ListAgentsRequest(page_size=_PAGE)
    with (
        grpc.insecure_channel(f"unix:{environment.home / 'machine.sock'}") as near,
        grpc.insecure_channel(control) as far,
    ):
        machine = machine_rpc.MachineServiceStub(showing(near, environment))
        fleet = status_rpc.FleetStatusServiceStub(showing(far, environment))
        asked: Any = machine.GetMachine.future(
            machine_pb.GetMachineRequest(), timeout=_ANSWER_WITHIN_S
        )
        listed: Any = fleet.ListAgents.future(request, timeout=_ANSWER_WITHIN_S)
        here, agents = _answer(asked), _answer(listed)
    if here is None and agents is None:
        raise Unasked
    return _merged(here.machine if here else None, agents.agents if agents else ())


def names_of_checkout(environment: Environment) -> Names:
    """What could be served from here, each under its short name."""
    image = image_of(environment)
    found = (short(f"{file.package}.{one.name}") for file in image.file for one in file.service)
    agents = tuple(sorted(name for name in found if "." not in name))
    return Names(services=agents, agents=agents)


def methods(environment: Environment, service: str, *, of_fleet: bool) -> dict[str, str]:
    """Of the service that the fleet serves, or of that in the checkout."""
    image = image_of(environment)
    found, comments = _described(environment, service, image, of_fleet=of_fleet), Comments(image)
    return {one.name: _brief(comments.of(one.full_name)) for one in found.methods}


def fields(
    environment: Environment, service: str, method: str, *, of_fleet: bool
) -> dict[str, Field]:
    """The flags of a method's request."""
    image = image_of(environment)
    found, comments = _described(environment, service, image, of_fleet=of_fleet), Comments(image)
    if method not in found.methods_by_name:
        raise Unasked
    return {
        f"--{flag}": Field(_brief(comments.of(field.full_name)), _values(field))
        for flag, field in flags_of(found.methods_by_name[method].input_type)
    }


def _described(
    environment: Environment, service: str, image: FileDescriptorSet, *, of_fleet: bool
) -> ServiceDescriptor:
    """Unasked where neither the fleet nor the checkout has it."""
    if of_fleet:
        with grpc.insecure_channel(running.controls_of(environment.home)[0]) as channel:
            hurried = grpc.intercept_channel(showing(channel, environment), _Hurry())
            with contextlib.suppress(grpc.RpcError, Refusal):
                return Contracts(hurried).service(service)
    return _in_checkout(image, service)


def _in_checkout(image: FileDescriptorSet, service: str) -> ServiceDescriptor:
    pool = pool_of(image)
    for file in image.file:
        for one in file.service:
            found: ServiceDescriptor = pool.FindServiceByName(f"{file.package}.{one.name}")
            if service in {found.full_name, short(found.full_name), *aliases_of(found)}:
                return found
    raise Unasked


def _values(field: FieldDescriptor) -> tuple[str, ...]:
    if field.enum_type is not None:
        return tuple(names_of(field)[1:])
    is_bool = field.type == FieldDescriptor.TYPE_BOOL and not repeated(field)
    return ("true", "false") if is_bool else ()


def _brief(comment: str) -> str:
    text = comment.partition(". ")[0]
    return f"{text[:_COMMENT_CHARS_MAX]}…" if len(text) > _COMMENT_CHARS_MAX else text


def _answer(asked: Any) -> Any:
    try:
        return asked.result()
    except grpc.RpcError:
        return None


def _merged(machine: Any, agents: Any) -> Names:
    hosts = machine.hosts if machine is not None else ()
    own = {agent.name: agent.service for host in hosts for agent in host.agents}
    instances = [instance for agent in agents for instance in agent.instances]
    services = {agent.short_name for agent in agents} | {short(one) for one in own.values()}
    fleet_hosts = {one.host.removeprefix("hosts/") for one in instances}
    machines = {one.machine for one in instances} | ({machine.name} if machine else set())
    return Names(
        services=_sorted(services),
        agents=_sorted({one.instance for one in instances} | set(own)),
        hosts=_sorted({host.host for host in hosts}),
        groups=_sorted({group for host in hosts for group in host.groups}),
        fleet_hosts=_sorted(fleet_hosts),
        machines=_sorted(machines),
    )


def _sorted(words: set[str]) -> tuple[str, ...]:
    return tuple(sorted(words))


class _Call(NamedTuple):
    """The fields by which gRPC knows a call that is about to be made."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Hurry(grpc.StreamStreamClientInterceptor):
    """Reflection that nobody answers ends soon: the library sets no deadline."""

    def intercept_stream_stream(self, go_on: Callable[..., Any], call: Any, requests: Any) -> Any:
        hurried = _Call(
            call.method,
            _ANSWER_WITHIN_S,
            call.metadata,
            call.credentials,
            call.wait_for_ready,
            call.compression,
        )
        return go_on(hurried, requests)
