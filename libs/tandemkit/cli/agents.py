"""`tandem agents`: every agent of the fleet, how and where it is; or what serves at an address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.control.v1 import fleet_status_service_pb2 as status_pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as status_rpc
from tandemkit.cli import running
from tandemkit.cli.failure import describe
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples, table
from tandemkit.cli.reflection import Contracts, aliases_of, connected, short
from tandemkit.core.environment import Environment
from tandemkit.machine.home import Home
from tandemkit.mesh.bootstrap import TARGET

_ANSWER_WITHIN_S = 5.0
_PAGE = 1000
_SERVING, _NOT_SERVING, _ABSENT, _DRAINED = "SERVING", "NOT_SERVING", "ABSENT", "DRAINED"
# What a server answers that is no control.
_NO_CONTROL = {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND}
Told = dict[str, Any]


def agents_at(channel: grpc.Channel) -> list[Told]:
    """Each agent with its status, its instances, its methods and its other spellings."""
    contracts = Contracts(channel)
    fleet = {agent.service: agent for agent in _of_fleet(channel)}
    health: Any = health_pb2_grpc.HealthStub(channel)
    return [
        _agent(contracts, service, fleet.get(service), health)
        for service in sorted({*contracts.agents, *fleet})
    ]


def _of_fleet(channel: grpc.Channel) -> Iterator[status_pb.FleetAgent]:
    """As control knows them; none where the server is none."""
    stub: Any = status_rpc.FleetStatusServiceStub(channel)
    request = status_pb.ListAgentsRequest(page_size=_PAGE)
    while True:
        try:
            page = stub.ListAgents(request, timeout=_ANSWER_WITHIN_S)
        except grpc.RpcError as error:
            if error.code() in _NO_CONTROL:
                return
            raise
        yield from page.agents
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _agent(
    contracts: Contracts, service: str, known: status_pb.FleetAgent | None, health: Any
) -> Told:
    instances = [] if known is None else [_instance(one) for one in known.instances]
    if known is None:
        request = health_pb2.HealthCheckRequest(service=service)
        answer = health.Check(request, timeout=_ANSWER_WITHIN_S)
        status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    else:
        states = {one["state"] for one in instances}
        status = next((one for one in (_SERVING, _DRAINED, _NOT_SERVING) if one in states), _ABSENT)
    # An agent that has just left has no contract any more that could be asked for.
    described = contracts.service(service) if service in contracts.services else None
    return {
        "name": short(service),
        "service": service,
        "status": status,
        "aliases": aliases_of(described) if described is not None else [],
        "methods": sorted(described.methods_by_name) if described is not None else [],
        "instances": instances,
    }


def _instance(one: status_pb.FleetInstance) -> Told:
    state = _DRAINED if one.drained else _SERVING if one.serving else _NOT_SERVING
    return {
        "instance": one.instance,
        "state": state,
        "host": one.host.removeprefix("hosts/"),
        "machine": one.machine,
        "address": one.target,
        "version": one.version,
    }


def _absent_here(address: str) -> Iterator[Told]:
    """Those that the plan of this machine left out, which no server knows of."""
    home = Home(Environment.read().home)
    wanted = home.wanted if address == TARGET else None
    for one in wanted.plan.absent if wanted else ():
        told = {"name": one.name, "service": one.service, "status": _ABSENT, "why": one.why}
        yield {**told, "aliases": [], "methods": [], "instances": []}


def _rows(found: list[Told]) -> Iterator[tuple[str, ...]]:
    """One for each instance; the other spellings stand at the first."""
    for agent in found:
        told = ", ".join(agent["aliases"])
        for one in agent["instances"] or [{"instance": agent["name"], "state": agent["status"]}]:
            where = (one.get("host", ""), one.get("address", ""))
            yield (one["instance"], one["state"], *where, told or agent.get("why", ""))
            told = ""


@click.command(
    short_help="List the agents of the fleet, and how and where they are.",
    epilog=examples(
        "./tandem agents",
        "./tandem agents --address 127.0.0.1:8200 --json",
        "./tandem agents --json | jq -r '.[].instances[] | select(.machine == \"pc2\").instance'",
    ),
)
@running.address
@as_json
def agents(*, address: str, as_json: bool) -> int:
    """List every agent of the fleet: state, host, address, and the other names that it goes by.

    With the --address of a server that is no control, what serves there. Exits 1 where an agent
    has nobody who serves it; one that ./tandem up left out of the plan is shown with the reason.
    """
    with connected(address) as channel:
        try:
            found = agents_at(channel)
            known = {one["service"] for one in found}
            found += [one for one in _absent_here(address) if one["service"] not in known]
        except grpc.RpcError as error:
            raise Refusal(describe(error).as_text(), EXIT_NO) from error
    emit(found, as_json=as_json, text=lambda: _text(found))
    lacking = (one["status"] != _SERVING for one in found if not one.get("why"))
    return EXIT_NO if any(lacking) else 0


def _text(found: list[Told]) -> str:
    rows = list(_rows(found))
    return table([("AGENT", "STATE", "HOST", "ADDRESS", "ALSO"), *rows]) if rows else "No agent."
