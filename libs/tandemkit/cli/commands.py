"""`tandem start`, `stop`, `restart`, `drain`, `return`, `suspend`, `resume`: one command each to
the machine supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import click
import grpc

from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import machine_service_pb2 as pb
from tandem.control.v1 import traffic_policy_service_pb2 as policy_pb
from tandem.control.v1 import traffic_policy_service_pb2_grpc as policy_rpc
from tandem.control.v1.traffic_policy_pb2 import ChangeNote
from tandemkit.cli import completing, noting
from tandemkit.cli.credential import shown_at
from tandemkit.cli.failure import describe
from tandemkit.cli.machine_link import ANSWER_WITHIN_S, linked, on_machine, supervisor_on
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples, near
from tandemkit.cli.reflection import service_called
from tandemkit.cli.status_value import state_of_host
from tandemkit.cli.waiting import waiting
from tandemkit.core import ids
from tandemkit.core.environment import Environment
from tandemkit.supervise.tasks import Tasks
from tandemkit.written.contract_comments import image_of

_POLICY_WITHIN_S = 10.0
# The supervisor answers after 20 s at the latest.
_DONE_WITHIN_S = 40.0


@dataclass(frozen=True, slots=True)
class Deed:
    """One command: what is asked of the supervisor, and what is said before, while and after."""

    name: str
    verb: nouns.Verb.ValueType
    short_help: str
    help: str
    doing: str
    done: str


DEEDS = (
    Deed(
        "start",
        nouns.VERB_START,
        "Start what was stopped.",
        "Start TARGET again after it was stopped, or given up.",
        "starting",
        "started",
    ),
    Deed(
        "stop",
        nouns.VERB_STOP,
        "Stop an agent, a host or a group.",
        "Stop TARGET: calls in progress may finish, and nothing starts it but `start`.",
        "stopping",
        "stopped",
    ),
    Deed(
        "restart",
        nouns.VERB_RESTART,
        "Stop and start an agent, a host or a group.",
        "Stop TARGET and start it again; calls in progress may finish.",
        "restarting",
        "restarted",
    ),
    Deed(
        "drain",
        nouns.VERB_DRAIN,
        "Keep new calls from an agent, a host or a group.",
        "Keep new calls from TARGET; those in progress end by themselves. A host is drained by the "
        "fleet's traffic policy: on every machine within a second, and over restarts.",
        "draining",
        "drained",
    ),
    Deed(
        "return",
        nouns.VERB_RETURN,
        "Let what was drained have calls again.",
        "Let TARGET have calls again after it was drained.",
        "returning",
        "returned",
    ),
    Deed(
        "suspend",
        nouns.VERB_SUSPEND,
        "Free the memory of an agent, a host or a group.",
        "Free the memory of TARGET until it is resumed; its callers hear UNAVAILABLE meanwhile.",
        "suspending",
        "suspended",
    ),
    Deed(
        "resume",
        nouns.VERB_RESUME,
        "Let what was suspended serve again.",
        "Let TARGET serve again after it was suspended.",
        "resuming",
        "resumed",
    ),
)
BY_NAME = {deed.name: deed for deed in DEEDS}


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command."""

    hosts: tuple[str, ...]
    agents: tuple[str, ...]
    was_so_already: bool


def command_of(name: str) -> click.Command:
    """The click command of one deed."""
    deed = BY_NAME[name]

    @noting.options
    @on_machine
    @as_json
    def run(*, target: str, note: ChangeNote, machine: str | None, as_json: bool) -> None:
        done = asyncio.run(_done(deed, target, note, machine))
        value = {
            "command": deed.name,
            "target": target,
            "hosts": list(done.hosts),
            "agents": list(done.agents),
            "was_so_already": done.was_so_already,
        }
        emit(value, as_json=as_json, text=lambda: _said(deed, target, done))

    return click.command(
        deed.name,
        help=f"{deed.help}\n\nTARGET is an agent, a host or a group, as ./tandem status has it.",
        short_help=deed.short_help,
        epilog=examples(
            f"./tandem {deed.name} utility-files",
            f'./tandem {deed.name} agents --reason "a new disk" --json',
        ),
    )(click.argument("target", metavar="TARGET", shell_complete=completing.targets)(run))


def _said(deed: Deed, target: str, done: Done) -> str:
    if done.was_so_already:
        return f"{target} was {deed.done} already; nothing has changed."
    parts = [*(f"host {one}" for one in done.hosts), *(() if done.hosts else done.agents)]
    return f"{deed.done}: {', '.join(parts) or target}"


async def _done(deed: Deed, target: str, note: ChangeNote, on: str | None) -> Done:
    supervisor = await supervisor_on(Environment.read(), on)
    async with linked(supervisor) as link:
        told = await link.GetMachine(pb.GetMachineRequest(), timeout=ANSWER_WITHIN_S)
        machine: nouns.Machine = told.machine
        hosts = _hosts(machine, target)
        async with (
            _watched(link, machine),
            waiting(sys.stderr, f"{deed.doing} {target}", lambda: _states(machine, hosts)),
        ):
            if hosts and deed.verb in {nouns.VERB_DRAIN, nouns.VERB_RETURN}:
                _check_alone(machine, target)
                return await _policy(deed, machine, hosts, note)
            return await _command(link, deed, machine, target, note)


async def _command(
    link: Any, deed: Deed, machine: nouns.Machine, target: str, note: ChangeNote
) -> Done:
    # Sent again after a lost answer, it is done once.
    request = pb.RunCommandRequest(verb=deed.verb, target=_sent(machine, target), note=note)
    request.request_id = ids.trace_id()
    try:
        answer = await link.RunCommand(request, timeout=_DONE_WITHIN_S)
    except grpc.RpcError as error:
        known = _names(machine)
        if error.code() != grpc.StatusCode.NOT_FOUND or target in known:
            raise
        meant = near(target, known)
        raise Refusal(f"nothing on {machine.name} is called {target!r}{meant}", EXIT_NO) from error
    return Done(tuple(answer.hosts), tuple(answer.agents), answer.was_so_already)


@asynccontextmanager
async def _watched(link: Any, machine: nouns.Machine) -> AsyncIterator[None]:
    """Keeps `machine` as it is, for whoever waits meanwhile."""

    async def follow() -> None:
        # A command that ends the supervisor ends this stream too; the command itself tells why.
        with contextlib.suppress(grpc.RpcError):
            async for told in link.WatchMachine(pb.WatchMachineRequest()):
                machine.CopyFrom(told.machine)

    async with Tasks() as tasks:
        tasks.spawn("watch", follow())
        yield


def _hosts(machine: nouns.Machine, target: str) -> list[str]:
    """Hosts that are named, by their own name, the registry's or their group's."""
    name = target.removeprefix("hosts/").removeprefix(f"{machine.name}-")
    return [one.host for one in machine.hosts if name in {one.host, *one.groups}]


def _sent(machine: nouns.Machine, target: str) -> str:
    """Another spelling of an agent is sent as its contract's name."""
    if target in _names(machine):
        return target
    return service_called(image_of(Environment.read()), target) or target


def _check_alone(machine: nouns.Machine, group: str) -> None:
    """A drained host takes no calls for any of its groups."""
    for host in machine.hosts:
        others = [one for one in host.groups if one != group]
        if group in host.groups and group != host.host and others:
            message = (
                f"group {group} shares host {host.host} with {', '.join(others)}; name the host, "
                "or agents of the group."
            )
            raise Refusal(message, EXIT_NO)


def _names(machine: nouns.Machine) -> set[str]:
    hosts = {name for host in machine.hosts for name in (host.host, *host.groups)}
    agents = {agent.name for host in machine.hosts for agent in host.agents}
    return hosts | agents


def _states(machine: nouns.Machine, hosts: Iterable[str]) -> str:
    wanted = set(hosts)
    told = [f"{one.host} {state_of_host(one.state)}" for one in machine.hosts if one.host in wanted]
    return ", ".join(told)


async def _policy(deed: Deed, machine: nouns.Machine, hosts: list[str], note: ChangeNote) -> Done:
    """A host is drained for the whole fleet, in the policy that every client is told."""
    if not machine.controls:
        raise Refusal(
            f"no control of {machine.name} is known yet, so no host can be drained.", EXIT_NO
        )
    control = machine.controls[0]
    async with shown_at(control, Environment.read()) as channel:
        policy = policy_rpc.TrafficPolicyServiceStub(channel)
        try:
            before = await policy.GetPolicy(policy_pb.GetPolicyRequest(), timeout=_POLICY_WITHIN_S)
            version = before.version
            for host in hosts:
                name = f"hosts/{machine.name}-{host}"
                if deed.verb == nouns.VERB_DRAIN:
                    drain = policy_pb.DrainHostRequest(host=name, note=note)
                    version = (await policy.DrainHost(drain, timeout=_POLICY_WITHIN_S)).version
                else:
                    back = policy_pb.ReturnHostRequest(host=name, note=note)
                    version = (await policy.ReturnHost(back, timeout=_POLICY_WITHIN_S)).version
        except grpc.RpcError as error:
            raise Refusal(f"control at {control}: {describe(error).as_text()}", EXIT_NO) from error
    return Done(tuple(hosts), (), version == before.version)
