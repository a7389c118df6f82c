"""`tandem why`: which route, weights, health view and revision decided where a call went."""

from __future__ import annotations

import re
from typing import Any

import click
import grpc

from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as rpc
from tandemkit.cli.call import metadata_of
from tandemkit.cli.failure import describe
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples
from tandemkit.cli.reflection import connected
from tandemkit.cli.running import controls_of, machine_here
from tandemkit.cli.why_calls import Served, served_of
from tandemkit.cli.why_text import Decided, text_of, value_of
from tandemkit.core.environment import Environment
from tandemkit.machine.home import Home
from tandemkit.rpc import trace as tracing

_ANSWER_WITHIN_S = 5.0
_ID = re.compile("[0-9a-f]{32}")
# A control that is older than the question.
_UNASKABLE = grpc.StatusCode.UNIMPLEMENTED


@click.command(
    short_help="Say what decided where the calls of a trace went.",
    epilog=examples(
        "./tandem call utility-toolbox/MeasureText --text hello --trace",
        "./tandem why 4bf92f3577b34da6a3ce929d0e0e4736",
        "./tandem why 4bf92f3577b34da6a3ce929d0e0e4736 -H x-tester:yes   as the caller sent it",
        "./tandem why 4bf92f3577b34da6a3ce929d0e0e4736 --json | jq '.calls[].decided.revision'",
    ),
)
@click.argument("trace", metavar="TRACE")
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    metavar="NAME:VALUE",
    help="A header that the call had: logs keep none but that of an instance.",
)
@click.option("--caller", help="The caller's machine (default: this one); hosts there come first.")
@as_json
def why(*, trace: str, headers: tuple[str, ...], caller: str | None, as_json: bool) -> None:
    """Show the calls of TRACE that hosts of this machine served, and for each one what control told
    clients at that time: revision, policy, route, weights, endpoints, and who was left out.

    TRACE is the 32 digits of its id, or a traceparent. A call leaves its trace in a log when it was
    sampled, failed, or was slow; `./tandem call --trace` makes one that is sampled and prints its
    id.
    """
    environment = Environment.read()
    trace_id = _trace_id(trace)
    calls = served_of(Home(environment.home).logs, trace_id)
    if not calls:
        raise Refusal(
            f"no host of this home wrote of the trace {trace_id}: it was not sampled and its calls "
            "were quick and well, or they reached no host, or hosts of other machines (ask there), "
            "or the logs began anew since. ./tandem call --trace makes a call that is sampled; "
            "./tandem call control-fleet-status/ExplainRoute says what holds for a method.",
            EXIT_NO,
        )
    machine = machine_here(environment.home)
    asking = pb.ExplainRouteRequest(caller_machine=machine if caller is None else caller)
    for name, value in metadata_of(headers, None):
        asking.headers.add(name=name, value=str(value))
    control = controls_of(environment.home)[0]
    found = _decided(control, machine, asking, calls)
    emit(
        {"trace": trace_id, "control": control, "calls": [value_of(one) for one in found]},
        as_json=as_json,
        text=lambda: text_of(found),
    )


def _trace_id(said: str) -> str:
    wanted = said.strip().lower()
    wanted = tracing.trace_id(tracing.well_formed(wanted)) or wanted
    if _ID.fullmatch(wanted) is None:
        raise Refusal(f"{said!r} is no trace id, which is 32 hexadecimal digits.")
    return wanted


def _decided(
    control: str, machine: str, asking: pb.ExplainRouteRequest, calls: list[Served]
) -> list[Decided]:
    """Each with what control says; where it does not answer, with that."""

    def named(call: Served) -> str:
        return f"hosts/{machine}-{call.host}"

    try:
        with connected(control) as channel:
            stub = rpc.FleetStatusServiceStub(channel)
            return [_explained(stub, asking, call, named(call)) for call in calls]
    except Refusal as refusal:
        # Who is away may have taken the note of the machine's name along.
        return [Decided(one, one.host, unknown=refusal.message.rstrip(".")) for one in calls]


def _explained(stub: Any, asking: pb.ExplainRouteRequest, call: Served, host: str) -> Decided:
    if call.in_process:
        return Decided(call, host)
    request = pb.ExplainRouteRequest(method=call.rpc, instance=call.instance)
    request.MergeFrom(asking)
    request.time.FromDatetime(call.began)
    try:
        return Decided(call, host, stub.ExplainRoute(request, timeout=_ANSWER_WITHIN_S))
    except grpc.RpcError as error:
        if error.code() == _UNASKABLE:
            return Decided(call, host, unknown="this control is too old to know")
        said = describe(error)
        told = f"control says {said.code}/{said.reason}: {said.message}"
        return Decided(call, host, unknown=told.rstrip("."))
