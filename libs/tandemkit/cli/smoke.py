"""What is tried of a fleet that was just restored, before anybody says that it serves."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.control.v1 import checkpoint_pb2 as checkpoints
from tandem.control.v1 import machine_pb2 as nouns
from tandem.platform.v1 import event_store_service_pb2 as pb
from tandem.platform.v1 import event_store_service_pb2_grpc as rpc
from tandemkit.cli import main
from tandemkit.cli.credential import shown_at
from tandemkit.cli.failure import describe
from tandemkit.cli.output import Refusal
from tandemkit.cli.progress import worded
from tandemkit.cli.reflection import Contracts, connected
from tandemkit.core.environment import Environment
from tandemkit.supervise.processes import Command, ProcessFailure, run_process

_ANSWER_S = 5.0
_STORE = pb.DESCRIPTOR.services_by_name["EventStoreService"].full_name
_ON_PURPOSE = frozenset({nouns.HOST_STATE_STOPPED, nouns.HOST_STATE_SUSPENDED})


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing that was tried; `failed` is why it did not work, and empty where it did."""

    name: str
    failed: str = ""


async def smoke(
    machine: nouns.Machine, manifest: checkpoints.Checkpoint, calls: Sequence[str]
) -> list[Trial]:
    """Each host, each agent's health, what control describes, the events, and the calls that were
    asked for, as `./tandem call` takes them.
    """
    up = [host for host in machine.hosts if host.state not in _ON_PURPOSE]
    found = [_host(host) for host in up]
    found += await asyncio.gather(
        *(_healthy(host.address, agent.service) for host in up for agent in host.agents)
    )
    if machine.controls:
        found.append(await asyncio.to_thread(_described, machine.controls[0]))
    for host in up:
        if any(agent.service == _STORE for agent in host.agents):
            found.append(await _events(host.address, manifest.events))
    return found + [await _call(call) for call in calls]


def _host(host: nouns.HostStanding) -> Trial:
    serves = host.state == nouns.HOST_STATE_SERVING
    return Trial(f"host {host.host}", "" if serves else worded(host))


async def _healthy(address: str, service: str) -> Trial:
    name = f"health of {service}"
    async with shown_at(address, Environment.read()) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            told = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=_ANSWER_S)
        except grpc.RpcError as error:
            return Trial(name, describe(error).as_text())
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(told.status)
    return Trial(name, "" if status == "SERVING" else f"it is {status}")


def _described(control: str) -> Trial:
    """Control knows the contracts of what it serves."""
    name = f"reflection at {control}"
    try:
        with connected(control) as channel:
            agents = Contracts(channel).agents
    except Refusal as refusal:
        return Trial(name, refusal.message)
    except grpc.RpcError as error:
        return Trial(name, describe(error).as_text())
    return Trial(name, "" if agents else "it describes no agent")


async def _events(address: str, events: checkpoints.CheckpointEvents) -> Trial:
    """They go as far as the checkpoint says, and no digest of them was changed."""
    name = f"events up to {events.position}"
    request = pb.VerifyEventsRequest()
    if events.position:
        request.noted.position, request.noted.digest = events.position, events.digest
    async with shown_at(address, Environment.read()) as channel:
        try:
            async for told in rpc.EventStoreServiceStub(channel).VerifyEvents(request):
                if told.HasField("broken"):
                    return Trial(name, f"{told.broken.position} {told.broken.cause}")
            return await _last(channel, name, events)
        except grpc.RpcError as error:
            return Trial(name, describe(error).as_text())


async def _last(
    channel: grpc.aio.Channel, name: str, events: checkpoints.CheckpointEvents
) -> Trial:
    if not events.position:
        return Trial(name)
    request = pb.ReadEventsRequest(after_position=events.position - 1, events_max=1)
    found = await rpc.EventStoreServiceStub(channel).ReadEvents(request, timeout=_ANSWER_S)
    is_it = [one.digest for one in found.events] == [events.digest]
    return Trial(name, "" if is_it else "the last one is not what was recorded")


async def _call(call: str) -> Trial:
    """In a process of its own: gRPC reads once in each where the controls are."""
    name = f"call {call}"
    method, _, request = call.partition(" ")
    program = f"from {main.__name__} import main; main()"
    argv = (sys.executable, "-P", "-c", program, "call", method, *filter(None, (request.strip(),)))
    with tempfile.TemporaryDirectory() as folder:
        command = Command((*argv, "--json"), Path(folder, "log"))
        try:
            status = await run_process(command)
        except ProcessFailure as failure:
            return Trial(name, str(failure))
        return Trial(name, _failure(command.log_tail()) if status else "")


def _failure(written: str) -> str:
    """The message of what a command says with --json as it fails."""
    lines = [line for line in written.splitlines() if line.strip()]
    try:
        return str(json.loads("\n".join(lines))["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return lines[-1] if lines else "it said nothing"
