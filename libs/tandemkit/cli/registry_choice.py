"""`tandem up --registry`: where control keeps what it knows, and the server for that."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tandem.control.config.v1.registry_pb2 import RegistrySettings
from tandem.control.v1 import machine_pb2 as nouns
from tandem.fleet.v1.plan_pb2 import PlannedPart
from tandemkit.cli import carried, tools
from tandemkit.cli.checkout import cache_of
from tandemkit.cli.output import EXIT_NO, Refusal
from tandemkit.cli.parts import BY_NAME, find
from tandemkit.cli.steps import StepFailure, Steps
from tandemkit.core.environment import Environment
from tandemkit.machine.home import Home
from tandemkit.machine.orders import planned_machine
from tandemkit.machine.parts import consul, redis
from tandemkit.machine.parts.kinds import CONSUL, REDIS, ports_of
from tandemkit.machine.registry_kind import registry_of, settings_of, stand_on
from tandemkit.rpc import validation
from tandemkit.supervise.ports import Allocator, PortsTaken
from tandemkit.written.ports import PortBook

EMBEDDED = "embedded"
_RANGE = "registry"
_LOOPBACK = "127.0.0.1"
_OPTIONS = (
    click.option(
        "--registry",
        type=click.Choice((EMBEDDED, CONSUL, REDIS)),
        help="Where control keeps what it knows (default: as it runs, else embedded).",
    ),
    click.option(
        "--registry-address",
        default="",
        help="Of a Consul (URL) or a Redis (host:port) that runs; without it one is started.",
    ),
    click.option(
        "--registry-secret",
        type=click.Path(exists=True, dir_okay=False, resolve_path=True),
        help="File with the token or password for --registry-address.",
    ),
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What `of` takes, for a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for; without a kind it stays as it is."""

    kind: str = ""
    address: str = ""
    secret: str = ""


def of(registry: str | None, registry_address: str, registry_secret: str | None) -> Choice:
    """Refusal where the options do not fit each other."""
    joined = bool(registry_address or registry_secret)
    if joined and registry not in {CONSUL, REDIS}:
        raise Refusal("--registry-address and --registry-secret need --registry consul or redis.")
    if registry_secret and not registry_address:
        raise Refusal("--registry-secret is for a server that runs: add --registry-address.")
    return Choice(registry or "", registry_address, registry_secret or "")


def stood(wanted: nouns.WantedMachine, choice: Choice, home: Home, environment: Environment) -> str:
    """Changes what is wanted to what was chosen. Returns what a person should know of that."""
    before = home.wanted
    if not choice.kind:
        if before is not None:
            _as_before(wanted, before)
        return ""
    said = RegistrySettings()
    if choice.address:
        said = _joined(choice)
    elif choice.kind != EMBEDDED:
        part = _part(choice.kind, wanted, before, environment)
        planned_machine(wanted).parts.append(part)
        said = _own(part, home)
    stand_on(wanted.plan, said)
    if before is None or registry_of(before) == registry_of(wanted):
        return ""
    return (
        f"the registry is now {registry_of(wanted)}, and was {registry_of(before)}: policies and "
        "other kept values of the one before stay there and are not moved."
    )


def _as_before(wanted: nouns.WantedMachine, before: nouns.WantedMachine) -> None:
    # The other profile of before may have had another machine.
    for machine in before.plan.machines:
        if machine.name == wanted.machine:
            planned_machine(wanted).parts.extend(machine.parts)
    for found in settings_of(before.plan):
        stand_on(wanted.plan, found)


def _joined(choice: Choice) -> RegistrySettings:
    said = RegistrySettings()
    if choice.kind == CONSUL:
        said.consul.address, said.consul.token_file = choice.address, choice.secret
    else:
        said.redis.address, said.redis.password_file = choice.address, choice.secret
    if validation.violations(said):
        form = "http://host:port" if choice.kind == CONSUL else "host:port"
        raise Refusal(f"--registry-address {choice.address!r} is not of the form {form}.")
    return said


def _own(part: PlannedPart, home: Home) -> RegistrySettings:
    said, ports = RegistrySettings(), ports_of(part)
    if part.name == CONSUL:
        said.consul.address = consul.url(ports)
        said.consul.token_file = str(consul.token_path(home.folder))
    else:
        said.redis.address = redis.address(ports)
        said.redis.password_file = str(redis.password_path(home.folder))
    return said


def _part(
    kind: str,
    wanted: nouns.WantedMachine,
    before: nouns.WantedMachine | None,
    environment: Environment,
) -> PlannedPart:
    """The one that runs, or one with free ports."""
    for machine in before.plan.machines if before else ():
        for part in machine.parts:
            if part.name == kind:
                return part
    part = PlannedPart(name=kind, program=str(_program(kind, environment)))
    names = consul.PORTS if kind == CONSUL else redis.PORTS
    try:
        for name, port in zip(names, _free(wanted, len(names)), strict=True):
            part.ports.add(name=name, port=port)
    except PortsTaken as taken:
        raise Refusal(f"{kind} has no port to listen on: {taken}.", EXIT_NO) from taken
    return part


def _free(wanted: nouns.WantedMachine, count: int) -> Sequence[int]:
    """Ports of the range for registries. Nobody holds them between here and the server's start, so
    who takes one meanwhile makes that start fail, with a cause that names the port.
    """
    book = PortBook.of(wanted.plan.ports)
    with ExitStack() as held:
        allocator = Allocator(_LOOPBACK, dict(book.withheld()))
        claims = [held.enter_context(allocator.claim(book.span(_RANGE))) for _ in range(count)]
        return [claim.port for claim in claims]


def _program(kind: str, environment: Environment) -> Path:
    """Found, or made now with a line of progress."""
    if found := find(BY_NAME[kind], environment):
        return found[BY_NAME[kind].programs[0]]
    steps = Steps(sys.stderr, cache_of(environment))
    try:
        if kind == REDIS:
            return asyncio.run(carried.obtain(kind, environment, steps))
        return asyncio.run(tools.obtain(environment, steps)).programs[kind]
    except StepFailure as failure:
        raise Refusal(f"{failure.step} failed: {failure.reason}", EXIT_NO) from failure
