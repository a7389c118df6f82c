"""`tandem env`: what the command uses."""

from __future__ import annotations

import sys

import click

from tandemkit.cli.checkout import root_of
from tandemkit.cli.output import Refusal, as_json, emit, examples, table
from tandemkit.cli.parts import built_tools
from tandemkit.core.environment import Environment


@click.command(
    short_help="Print what this command uses: interpreter, paths, caches.",
    epilog=examples(
        "./tandem env",
        '"$(./tandem env python)" -V      the interpreter, for an editor too',
    ),
)
@click.argument("name", required=False)
@as_json
def env(*, name: str | None, as_json: bool) -> None:
    """Print what this command uses: interpreter, paths, caches; or only the value of NAME."""
    environment = Environment.read()
    value = {
        "root": str(root_of(environment)),
        "python": sys.executable,
        "pythonpath": environment.variables.get("PYTHONPATH", ""),
        "stubs": str(environment.stubs or ""),
        "cache": str(environment.cache),
        "home": str(environment.home),
        "tools": str(built_tools(environment) or ""),
        "required": ",".join(sorted(environment.required)),
    }
    if name is not None:
        if name not in value:
            raise Refusal(f"no value {name!r}; there are: {', '.join(value)}.")
        emit(value[name], as_json=as_json, text=lambda: value[name])
        return
    emit(value, as_json=as_json, text=lambda: table(list(value.items())))
