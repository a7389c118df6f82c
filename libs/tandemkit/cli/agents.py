"""`tandem agents`: what serves at an address, and how it is."""

from __future__ import annotations

import click
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandemkit.cli import running
from tandemkit.cli.failure import describe
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples, table
from tandemkit.cli.reflection import Contracts, aliases_of, connected, short

_ANSWER_WITHIN_S = 5.0


def statuses(channel: grpc.Channel) -> list[dict[str, object]]:
    """Each agent with its health and its methods."""
    contracts = Contracts(channel)
    health = health_pb2_grpc.HealthStub(channel)
    found: list[dict[str, object]] = []
    for service in contracts.agents:
        request = health_pb2.HealthCheckRequest(service=service)
        answer = health.Check(request, timeout=_ANSWER_WITHIN_S)
        status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        described = contracts.service(service)
        methods = sorted(described.methods_by_name)
        found.append(
            {
                "name": short(service),
                "service": service,
                "status": status,
                "aliases": aliases_of(described),
                "methods": methods,
            }
        )
    return found


@click.command(
    short_help="List the agents that serve at an address, and how they are.",
    epilog=examples("./tandem agents", "./tandem agents --address 127.0.0.1:8200 --json"),
)
@running.address
@as_json
def agents(*, address: str, as_json: bool) -> int:
    """List the agents that serve at an address. Exits 1 where one of them is not well."""
    with connected(address) as channel:
        try:
            found = statuses(channel)
        except grpc.RpcError as error:
            raise Refusal(describe(error).as_text(), EXIT_NO) from error
    rows = [(str(one["name"]), str(one["status"]), str(one["service"])) for one in found]
    emit(found, as_json=as_json, text=lambda: table(rows))
    return EXIT_NO if any(one["status"] != "SERVING" for one in found) else 0
