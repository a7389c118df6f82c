"""`tandem up`: the fleet of deploy/fleet in one process on this machine, from source."""

from __future__ import annotations

import importlib
import importlib.util
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import uvloop
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from tandem.control.v1 import registration_pb2 as nouns
from tandem.fleet.v1 import stanza_pb2
from tandemkit.cli import edge, running
from tandemkit.cli.checkout import root_of
from tandemkit.cli.credential import token_made
from tandemkit.cli.output import Refusal, as_json, emit, examples, table
from tandemkit.cli.reflection import DEFAULT_ADDRESS
from tandemkit.core import log
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.core.errors import Failure
from tandemkit.core.names import AgentName
from tandemkit.fleet.stanzas import Fleet, Kinds
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.host import Place, Placed
from tandemkit.hosting.http_port import HttpRefused, address_of, listening
from tandemkit.hosting.membership import (
    BadMembership,
    Membership,
    address_for_callers,
    machine_name,
)
from tandemkit.hosting.process import serve
from tandemkit.rpc.spans import Tracing
from tandemkit.telemetry.export import share_of

# The first that deploy/ports.yaml leaves to hosts: 9100 is the node exporter's.
DEFAULT_HTTP = "127.0.0.1:9101"
# The hosts of which this is one: they serve all agents.
GROUP = "up"


def agent_of(service: str) -> Agent:
    """The declaration of the agent that keeps this contract; LookupError where there is none."""
    name = AgentName.of(service)
    try:
        declared: Agent = importlib.import_module(_module_of(name)).AGENT
    except ModuleNotFoundError as error:
        raise LookupError(f"`{service}` has no module {error.name}") from error
    except AttributeError as error:
        raise LookupError(f"{error.name} of `{service}` is not declared") from error
    return declared


def _module_of(name: AgentName) -> str:
    """Where the declaration stands: an agent that outgrew its module keeps it in `agent.py`."""
    spec = importlib.util.find_spec(name.module)
    is_folder = spec is not None and spec.submodule_search_locations is not None
    return f"{name.module}.agent" if is_folder else name.module


def fleet(folder: Path) -> tuple[Placed, ...]:
    """Every agent with the settings of its stanza. One process serves it once, however many
    replicas the stanza asks for.
    """
    agents: dict[str, Agent] = {}

    def settings(service: str) -> Message | None:
        agents[service] = agent_of(service)
        kind = agents[service].settings
        return kind() if kind else None

    files = {str(path): path.read_text("utf-8") for path in sorted(folder.glob("*.yaml"))}
    read = Fleet.read(files, Kinds(stanza_pb2.Family, settings))
    if read.mistakes:
        raise Refusal("\n".join(map(str, read.mistakes)))
    if not read.stanzas:
        raise Refusal(f"{folder} holds no stanza, so there is no fleet to serve.")
    return tuple(
        Placed(agents[one.fields.service], one.settings, one.fields.name) for one in read.stanzas
    )


def check_free(address: str) -> tuple[str, int]:
    """Host and port, which nobody else listens on; gRPC would only say that it failed. Port 0 is
    chosen here, for clients of the mesh are told the port before anybody listens on it.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise Refusal(f"{address!r} is not of the form host:port.")
    try:
        with socket.create_server((host, int(port))) as found:
            return host, int(found.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise Refusal(
            f"cannot listen on {address}; if another ./tandem up runs there, end it, "
            "or take a free port with --address 127.0.0.1:0."
        ) from error


def membership(address: str, advertised: str) -> Membership:
    """This process as the first host of its own fleet, whose control it serves itself."""
    try:
        callers = advertised or address_for_callers(address)
        machine = machine_name()
        host = nouns.Host(name=f"hosts/{machine}-{GROUP}", machine=machine, group=GROUP)
        host.address = socket.gethostbyname(callers)
        return Membership.checked((f"{callers}:{address.rpartition(':')[2]}",), host)
    except (BadMembership, OSError) as error:
        raise Refusal(f"clients cannot be told of {address}: {error}.") from error


def http_of(wanted: str | None) -> socket.socket | None:
    """Where the host answers over HTTP: nowhere if the usual port is taken and no other was asked
    for.
    """
    try:
        return listening(wanted or DEFAULT_HTTP)
    except HttpRefused as refused:
        if not wanted:
            return None
        raise Refusal(f"{refused}; --http 127.0.0.1:0 takes a free port.") from refused


def screen(placed: Sequence[Placed], address: str, http: str = "") -> str:
    """What serves where, and what to try."""
    rows = [(one.name, one.agent.promise.name.service) for one in placed]
    sample = next((text for one in placed if (text := _sample(one.agent))), "SERVICE/METHOD '{}'")
    elsewhere = "" if address == DEFAULT_ADDRESS else f" --address {address}"
    return "\n".join(
        (
            f"Tandem serves {len(placed)} agents at {address}; Ctrl-C ends it.",
            "",
            table(rows),
            "",
            "Try, in another terminal:",
            f"  ./tandem agents{elsewhere}",
            f"  ./tandem call {sample}{elsewhere}",
            f"  grpcurl -plaintext {address} list",
            '  eval "$(./tandem env)"; grpcurl -plaintext xds:///tandem list',
            "Calls show the token of $TANDEM_HOME/token, as those of ./tandem do. With grpcurl:",
            '  BEARER="Bearer $(cat "$TANDEM_TOKEN_FILE")" grpcurl -expand-headers \\',
            "    -H 'authorization: ${BEARER}' -plaintext xds:///tandem SERVICE/METHOD",
            *((f"  curl http://{http}/health          and /metrics",) if http else ()),
        )
    )


def _sample(agent: Agent) -> str:
    """A call that changes nothing and needs no more than a text, if the agent has one."""
    for method in agent.promise.service.methods:
        harmless = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
        fields = method.input_type.fields
        streams = method.client_streaming or method.server_streaming
        if harmless and not streams and [field.name for field in fields] == ["text"]:
            return f'{agent.name}/{method.name} \'{{"text": "hello"}}\''
    return ""


@click.command(
    short_help="Serve the fleet on this machine, from source.",
    epilog=examples(
        "./tandem up",
        "./tandem up --address 127.0.0.1:0 --json",
        "./tandem up --edge                then: grpcurl -plaintext 127.0.0.1:8290 list",
    ),
)
@click.option("--address", default=DEFAULT_ADDRESS, show_default=True, help="host:port; 0: any.")
@click.option("--advertise", default="", help="How clients reach --address (default: as it is).")
@click.option("--http", help=f"host:port of /health and /metrics (default: {DEFAULT_HTTP}).")
@edge.options
@as_json
def up(*, address: str, advertise: str, http: str | None, as_json: bool, **of_edge: Any) -> None:
    """Serve all agents of deploy/fleet on this machine, from source, until Ctrl-C."""
    environment = Environment.read()
    wanted = edge.of(**of_edge)
    host, port = check_free(address)
    where = f"{host}:{port}"
    answering = http_of(http)
    face = address_of(answering) if answering else ""
    fleet_of_one = membership(where, advertise)
    placed = fleet(root_of(environment) / "deploy" / "fleet")
    token = token_made(environment)
    standing = edge.Standing(wanted, environment, fleet_of_one)
    log.write_to()

    def served(_port: int) -> None:
        notes.enter_context(running.noted(environment.home, fleet_of_one.controls))
        names = [one.name for one in placed]
        value = {"address": where, "http": face, "agents": names, **standing.value}
        emit(value, as_json=as_json, text=lambda: screen(placed, where, face) + standing.screen)

    tracing = Tracing(share_of(environment))
    state = environment.home / "state"
    place = Place(
        where,
        state,
        SystemClock(),
        membership=fleet_of_one,
        tracing=tracing,
        http=answering,
        token=token,
    )
    try:
        with ExitStack() as notes:
            uvloop.run(serve(placed, place, served, _say_draining, standing.beside))
    except Failure as error:
        raise Refusal(f"{error}; TANDEM_HOME names another home for a second fleet.") from error


def _say_draining() -> None:
    click.echo("tandem: draining; calls in progress may finish.", err=True)
