"""`tandem pin`: third-party packages resolved again."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click

from tandemkit.cli.checkout import cache_of, root_of
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples
from tandemkit.cli.pinned import find_uv
from tandemkit.cli.uv import uv_variables
from tandemkit.core.environment import Environment

_PIN = re.compile(r"^([A-Za-z0-9][^ =\[]*)(?:\[[^]]*\])?==(\S+)", re.MULTILINE)


def changes(before: str, after: str) -> dict[str, tuple[str, str]]:
    """Package to its versions before and after; an empty text is absence."""
    old, new = dict(_PIN.findall(before)), dict(_PIN.findall(after))
    names = sorted(old.keys() | new.keys())
    pairs = {name: (old.get(name, ""), new.get(name, "")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _resolve(root: Path, environment: Environment, *, upgrade: bool) -> None:
    uv = find_uv(environment)
    path = f"{uv.parent}:{environment.path}"
    variables = {**uv_variables(environment.variables), "PATH": path}
    argv = [sys.executable, str(root / "tools" / "pins.py"), *(["--upgrade"] if upgrade else [])]
    done = subprocess.run(argv, env=variables, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise Refusal(said[-1] if said else "tools/pins.py failed", EXIT_NO)


@click.command(
    short_help="Resolve third-party packages again and write pins.txt.",
    epilog=examples("./tandem pin && git diff --stat pins.txt"),
)
@click.option("--upgrade", is_flag=True, help="Take the newest versions that are allowed.")
@as_json
def pin(*, upgrade: bool, as_json: bool) -> None:
    """Resolve what pyproject.toml asks for again, write pins.txt, and print what changed."""
    environment = Environment.read()
    cache_of(environment)
    root = root_of(environment)
    before = (root / "pins.txt").read_text()
    _resolve(root, environment, upgrade=upgrade)
    changed = changes(before, (root / "pins.txt").read_text())
    lines = [f"{name} {old or 'new'} -> {new or 'gone'}" for name, (old, new) in changed.items()]
    value = {name: {"before": old, "after": new} for name, (old, new) in changed.items()}
    emit(value, as_json=as_json, text=lambda: "\n".join(lines) or "nothing changed.")
