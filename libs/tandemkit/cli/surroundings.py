"""`tandem env`: what a shell has to know to call the fleet, and what the command itself uses."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import click

from tandem.control.v1.machine_pb2 import WantedMachine
from tandemkit.cli import gateway, running, shells
from tandemkit.cli.checkout import root_of
from tandemkit.cli.credential import token_file
from tandemkit.cli.output import Refusal, as_json, emit, examples
from tandemkit.cli.parts import built_tools
from tandemkit.core.environment import Environment
from tandemkit.core.names import INFERENCE
from tandemkit.core.token import FILE_VARIABLE as TOKEN_FILE_VARIABLE
from tandemkit.hosting.membership import label
from tandemkit.machine.home import Home
from tandemkit.mesh.bootstrap import FILE_VARIABLE, VARIABLE, Node, bootstrap

_ANSWER_WITHIN_S = 0.5


@click.command(
    short_help="Print what a shell needs to call the fleet as xds:///tandem.",
    epilog=examples(
        'eval "$(./tandem env)"           then: grpcurl -plaintext xds:///tandem list',
        "./tandem env --shell fish | source",
        "./tandem env --address 10.0.0.1:8200,10.0.0.2:8200 --machine mainpc",
        "./tandem env --file bootstrap.json",
        '"$(./tandem env python)" -V      one value; --json has all of them',
        "./tandem env kserve              where tritonclient finds the fleet's models",
    ),
)
@click.argument("name", required=False)
@click.option(
    "--address", help="host:port of the controls, by commas (default: where ./tandem up runs)."
)
@click.option("--machine", help="Where the client is: agents there come first (default: here).")
@click.option("--node", help="Name of the client, as the control sees it.")
@click.option("--shell", type=click.Choice(shells.SHELLS), default="sh", show_default=True)
@click.option(
    "--file", type=click.Path(path_type=Path), help="Write the bootstrap there, and name the file."
)
@as_json
def env(
    *, name: str | None, shell: str, file: Path | None, as_json: bool, **client: str | None
) -> None:
    """Print what a shell needs to call the fleet; or only the value of NAME, such as python."""
    environment = Environment.read()
    mesh = _mesh(environment, **client)
    value = {**mesh, "kserve": _inference(environment), **_checkout(environment)}
    if name is not None:
        if name not in value:
            raise Refusal(f"no value {name!r}; there are: {', '.join(value)}.")
        emit(value[name], as_json=as_json, text=lambda: value[name])
        return
    _warn_of_silence(mesh["controls"])
    variables = _variables(mesh["bootstrap"], file, environment)
    emit(value, as_json=as_json, text=lambda: shells.lines(shell, variables))


def _mesh(
    environment: Environment, address: str | None, machine: str | None, node: str | None
) -> dict[str, str]:
    controls = address.split(",") if address else running.controls_of(environment.home)
    machine = machine or label(running.machine_here(environment.home))
    node = node or f"shell-{machine}"
    text = bootstrap(Node(node, machine), controls)
    return {"controls": ",".join(controls), "machine": machine, "node": node, "bootstrap": text}


def _inference(environment: Environment) -> str:
    """Where clients of KServe find the fleet that know no xDS; empty where nothing runs."""
    wanted = Home(environment.home).wanted or WantedMachine()
    for machine in wanted.plan.machines:
        for host in machine.hosts if machine.name == wanted.machine else ():
            if any(one.service == INFERENCE for one in host.agents):
                return f"{wanted.listen or machine.address}:{host.grpc_port}"
    return ""


def _checkout(environment: Environment) -> dict[str, str]:
    return {
        "root": str(root_of(environment)),
        "python": sys.executable,
        "pythonpath": environment.variables.get("PYTHONPATH", ""),
        "stubs": str(environment.stubs or ""),
        "cache": str(environment.cache),
        "home": str(environment.home),
        "token_file": str(token_file(environment)),
        "gateway": gateway.url_of(environment.home),
        "tools": str(built_tools(environment) or ""),
        "required": ",".join(sorted(environment.required)),
    }


def _variables(text: str, file: Path | None, environment: Environment) -> dict[str, str | None]:
    token: dict[str, str | None] = {TOKEN_FILE_VARIABLE: str(token_file(environment))}
    if url := gateway.url_of(environment.home):
        token[gateway.VARIABLE] = url
    if file is not None:
        file.write_text(json.dumps(json.loads(text), indent=2) + "\n")
        return {FILE_VARIABLE: str(file.resolve()), **token}
    # Clients prefer the file of an earlier call.
    stale: dict[str, str | None] = {FILE_VARIABLE: None}
    known = {**(stale if FILE_VARIABLE in environment.variables else {}), VARIABLE: text}
    return {**known, **token}


def _warn_of_silence(controls: str) -> None:
    """On stderr, which no shell evaluates. What is printed is right once a control is there."""
    for control in controls.split(","):
        host, _, port = control.rpartition(":")
        try:
            socket.create_connection((host, int(port)), _ANSWER_WITHIN_S).close()
        except (OSError, ValueError):
            continue
        return
    click.echo(
        f"tandem: nobody answers at {controls}; start the fleet with ./tandem up.",
        err=True,
    )
