"""A server's contracts, learned from the server: the CLI calls agents it was not built with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet, ServiceOptions
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from tandem.options.v1 import options_pb2
from tandemkit.cli.credential import check_ours, showing
from tandemkit.cli.output import EXIT_NO, Refusal, near
from tandemkit.core.environment import Environment
from tandemkit.core.names import AgentName
from tandemkit.mesh.bootstrap import TARGET
from tandemkit.rpc.unanswered import NO_CONTROL

DEFAULT_ADDRESS = "127.0.0.1:8200"
_ANSWER_WITHIN_S = 5.0
_SILENCE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
# Part of every server, so nobody asks for them by a short name.
_PLUMBING = ("grpc.", "envoy.")


class Contracts:
    """What one server says that it serves."""

    def __init__(self, channel: grpc.Channel) -> None:
        database = ProtoReflectionDescriptorDatabase(channel)
        # The stubs leave its methods untyped.
        self._pool: Any = DescriptorPool(database)
        self.services: list[str] = sorted(database.get_services())

    @property
    def agents(self) -> list[str]:
        """The services that are agents, by full name."""
        return [service for service in self.services if not service.startswith(_PLUMBING)]

    def service(self, name: str) -> ServiceDescriptor:
        """By its full name, by the short one that Consul and the fleet file show, or by another
        spelling that the contract declares.
        """
        if (found := self._find(name)) is not None:
            return found
        known = [short(service) for service in self.agents]
        raise Refusal(f"no service {name!r} at this address{near(name, known)}")

    def names(self, name: str) -> bool:
        """Whether it is a service that `name` means, and not a method."""
        return "/" not in name and self._find(name) is not None

    def _find(self, name: str) -> ServiceDescriptor | None:
        for service in self.services:
            if name in {service, short(service)}:
                return self._described(service)
        described = map(self._described, self.agents)
        return next((one for one in described if name in aliases_of(one)), None)

    def _described(self, service: str) -> ServiceDescriptor:
        found: ServiceDescriptor = self._pool.FindServiceByName(service)
        return found

    def method(self, path: str) -> MethodDescriptor:
        """`SERVICE/METHOD`, or with a dot as in a full name."""
        service, _, method = path.rpartition("/") if "/" in path else path.rpartition(".")
        if not service or not method:
            raise Refusal(f"{path!r} is not of the form SERVICE/METHOD.")
        found = self.service(service)
        if method not in found.methods_by_name:
            meant = near(method, found.methods_by_name)
            raise Refusal(f"{found.full_name} has no method {method!r}{meant}")
        chosen: MethodDescriptor = found.methods_by_name[method]
        return chosen


def aliases_of(service: ServiceDescriptor) -> list[str]:
    """The other spellings of a service. The server's descriptors have a pool of their own, in which
    our option is an unknown field: so it is read again with the stubs.
    """
    options = ServiceOptions.FromString(service.GetOptions().SerializeToString())
    return list(options.Extensions[options_pb2.aliases])


def service_called(image: FileDescriptorSet, name: str) -> str:
    """The full name of the contract that declares this other spelling; empty where none does."""
    for file in image.file:
        for service in file.service:
            options = ServiceOptions.FromString(service.options.SerializeToString())
            if name in options.Extensions[options_pb2.aliases]:
                return f"{file.package}.{service.name}"
    return ""


def short(service: str) -> str:
    """The agent's short name, or the full name of what is not an agent of ours."""
    try:
        return AgentName.of(service).short
    except ValueError:
        return service


@contextlib.contextmanager
def connected(address: str) -> Iterator[grpc.Channel]:
    """A channel to a server that answers; Refusal where nobody does.

    It is asked how it is: waiting for the channel to be ready would cost 0.2 s in a thread of gRPC
    that looks at it so often, and a frozen process takes connections too.
    """
    environment = Environment.read()
    check_ours(address, environment)
    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        try:
            health.Check(health_pb2.HealthCheckRequest(), timeout=_ANSWER_WITHIN_S)
        except grpc.RpcError as error:
            if error.code() in _SILENCE:
                told = NO_CONTROL if address == TARGET else f"nobody at {address} answers"
                raise Refusal(f"{told}.", EXIT_NO) from error
        yield showing(channel, environment)
