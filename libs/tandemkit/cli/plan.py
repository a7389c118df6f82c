"""`tandem plan`: the files of deploy/ checked, and what would run where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from google.protobuf import json_format
from google.protobuf.message import Message

from tandem.fleet.v1 import plan_pb2 as pb
from tandem.fleet.v1 import stanza_pb2
from tandemkit.cli.checkout import root_of
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples, table
from tandemkit.core.environment import Environment
from tandemkit.fleet import cores
from tandemkit.fleet.layout import Layout
from tandemkit.fleet.needs import Calls
from tandemkit.fleet.plan import Blueprint, NoSuchProfile, PlanRefused
from tandemkit.fleet.plan import plan as planned
from tandemkit.fleet.stanzas import Fleet, Kinds, secrets_in
from tandemkit.hosting.agent import Agent
from tandemkit.machine.loading import agent_of
from tandemkit.rpc.contract import Contract
from tandemkit.written import dotenv
from tandemkit.written.pools import pool_name
from tandemkit.written.ports import PortBook
from tandemkit.written.variables import Variables

DEFAULT_PROFILE = "laptop"


def blueprint(environment: Environment) -> Blueprint:
    """Everything below deploy/ of a checkout, and the calls that its agents declare. Refusal where
    the file of variables cannot be read.
    """
    root = root_of(environment)
    agents: dict[str, Agent] = {}

    def settings(service: str) -> Message | None:
        agents[service] = agent_of(service)
        kind = agents[service].settings
        return kind() if kind else None

    deploy = root / "deploy"
    stanzas = _texts(root, deploy.glob("fleet/*.yaml"))
    layout = _texts(root, deploy.glob("fleet/*/*.yaml"))
    ports = deploy / "ports.yaml"
    variables = Variables(environment.variables, dotenv_of(environment), secrets_in(stanzas))
    fleet = Fleet.read(stanzas, Kinds(stanza_pb2.Family, settings), variables)
    return Blueprint(
        fleet,
        Layout.read(layout, variables),
        PortBook.read(str(ports.relative_to(root)), ports.read_text("utf-8"), variables),
        {service: _calls(agent) for service, agent in agents.items()},
        variables,
        {service: agent.runtime for service, agent in agents.items()},
    )


def dotenv_of(environment: Environment) -> dict[str, str]:
    """What the file of variables in TANDEM_HOME says; Refusal where it cannot be used."""
    try:
        return dotenv.read(environment.home / dotenv.NAME)
    except dotenv.BadDotenv as bad:
        raise Refusal(f"{bad}.") from bad


def _texts(root: Path, found: Iterator[Path]) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text("utf-8") for path in sorted(found)}


def _calls(agent: Agent) -> Calls:
    hard, soft = (
        tuple(Contract.of(file).service.full_name for file in files)
        for files in (agent.calls, agent.soft_calls)
    )
    return Calls(hard, soft)


def screen(plan: pb.Plan) -> str:
    """Machines, their hosts and agents; then who starts when."""
    blocks = [f"Profile {plan.profile}"]
    for machine in plan.machines:
        blocks += [_summary(machine), table([_HEADER, *_rows(machine)])]
    blocks.append(table([("layer", "starts", "then serves"), *_layers(plan)]))
    if plan.variables:
        blocks.append(table([("variable", "stands for", "from", "at"), *_variables(plan)]))
    blocks += [f"Note: {remark}." for remark in plan.remarks]
    return "\n\n".join(blocks)


def value_of(plan: pb.Plan) -> dict[str, object]:
    """For --json: every field, by the name that the schema gives it."""
    value: dict[str, object] = json_format.MessageToDict(
        plan, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return value


_ORIGINS = {
    pb.VARIABLE_ORIGIN_ENVIRONMENT: "environment",
    pb.VARIABLE_ORIGIN_FILE: dotenv.NAME,
    pb.VARIABLE_ORIGIN_DEFAULT: "default",
    pb.VARIABLE_ORIGIN_MISSING: "missing",
}
_HEADER = ("host", "agent", "group", "gRPC", "HTTP", "MiB", "pool", "GPU", "cores", "layer")


def _summary(machine: pb.PlannedMachine) -> str:
    pools = [
        f"{pool_name(one.pool)} {one.planned_mib} of {one.memory_mib}" for one in machine.pools
    ]
    lines = [
        f"{machine.name} ({machine.address}): {machine.cpu_cores} cores, {machine.memory_mib} MiB",
        f"  memory in MiB: {', '.join(pools)}",
    ]
    lines += [
        f"  {gpu.name}: {gpu.planned_percent} % of {100 - gpu.reserved_percent} %"
        for gpu in machine.gpus
    ]
    return "\n".join(lines)


def _rows(machine: pb.PlannedMachine) -> Iterator[tuple[str, ...]]:
    for host in machine.hosts:
        gpu = f"{host.gpu} {host.gpu_percent} %" if host.gpu else "-"
        yield (
            *(host.name, "", " ".join(host.groups), str(host.grpc_port), str(host.http_port)),
            *(str(host.memory_mib), pool_name(host.pool), gpu, _cores(host), str(host.layer)),
        )
        for one in host.agents:
            share = f"{one.gpu_percent} %" if one.gpu_percent else "-"
            yield (
                *("", one.name, "", "", "", str(one.memory_mib), pool_name(one.pool)),
                *(share, _cores(one), str(one.layer)),
            )


def _variables(plan: pb.Plan) -> Iterator[tuple[str, ...]]:
    for one in plan.variables:
        yield one.name, one.value or "-", _ORIGINS[one.origin], " ".join(one.places)


def _cores(one: pb.PlannedHost | pb.PlannedAgent) -> str:
    return cores.written(tuple(one.cpu_cores)) or "all"


def _layers(plan: pb.Plan) -> Iterator[tuple[str, ...]]:
    for number, layer in enumerate(plan.layers):
        yield (str(number), " ".join(layer.hosts) or "-", " ".join(layer.agents))


@click.command(
    short_help="Show what would run where: hosts, ports, memory, GPUs, order of starting.",
    epilog=examples(
        "./tandem plan",
        "./tandem plan --profile mainpc",
        "./tandem plan --profile pc2 --json | jq -r '.machines[].hosts[].grpc_port'",
    ),
)
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="A file's name.")
@as_json
def plan(*, profile: str, as_json: bool) -> None:
    """Check the files of deploy/ and show what would run where.

    Exits 1 where a file is wrong: every mistake with its file, line, column, and what to do.
    """
    try:
        found = planned(blueprint(Environment.read()), profile)
    except PlanRefused as refused:
        raise Refusal(str(refused), EXIT_NO) from refused
    except NoSuchProfile as unknown:
        raise Refusal(str(unknown)) from unknown
    emit(value_of(found), as_json=as_json, text=lambda: screen(found))
