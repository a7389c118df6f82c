"""Where the fleet of a home was started last: `up` notes it for the commands of other terminals."""

from __future__ import annotations

import json
from pathlib import Path
from socket import gethostname

import click

from tandemkit.cli.reflection import DEFAULT_ADDRESS
from tandemkit.core.environment import Environment, hand_to_libraries
from tandemkit.mesh.bootstrap import FILE_VARIABLE, TARGET, VARIABLE, Node, bootstrap

_NOTE = "running.json"


def controls_of(home: Path) -> tuple[str, ...]:
    """Those of the fleet that was started with this home, or where one would be by default."""
    try:
        said = json.loads((home / _NOTE).read_text())
    except (FileNotFoundError, ValueError):
        # Also what a machine that lost its power left of it.
        return (DEFAULT_ADDRESS,)
    return tuple(said["controls"])


def is_noted(home: Path) -> bool:
    """Whether a fleet of this home runs, or ended without a word."""
    return (home / _NOTE).exists()


def supervisor_at(home: Path) -> str:
    """The port of this home's supervisor; empty where nothing runs."""
    try:
        return str(json.loads((home / _NOTE).read_text()).get("supervisor", ""))
    except (FileNotFoundError, ValueError):
        return ""


def machine_here(home: Path) -> str:
    """What the fleet of this home calls this machine: agents there come first."""
    try:
        return str(json.loads((home / _NOTE).read_text())["machine"])
    except (FileNotFoundError, ValueError, KeyError):
        return gethostname()


def mesh_of(environment: Environment) -> str:
    """What reaches every agent of the fleet. Before gRPC's first call: it reads once where the
    controls are.
    """
    controls = controls_of(environment.home)
    node = Node(f"command-{gethostname()}", machine_here(environment.home))
    hand_to_libraries({VARIABLE: bootstrap(node, controls), FILE_VARIABLE: None})
    return TARGET


def _mesh(_context: click.Context, _option: click.Parameter, said: str | None) -> str:
    return said or mesh_of(Environment.read())


address = click.option(
    "--address",
    callback=_mesh,
    help="host:port of a host (default: the whole fleet of ./tandem up).",
)
