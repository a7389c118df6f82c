"""`tandem release`: today's contracts become the baseline, and fragments become the change log."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import click

from tandemkit.cli import changelog
from tandemkit.cli.checkout import cache_of, root_of
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples
from tandemkit.cli.pinned import checks
from tandemkit.cli.steps import StepFailure, Steps
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment


def _contracts(python: Path, root: Path, environment: Environment, *action: str) -> list[str]:
    """What tools/contracts.py objects to, a line each."""
    argv = [str(python), "-P", "-m", "tools.contracts", *action]
    variables = {**environment.variables, "PYTHONPATH": f"{root}:{root / 'libs'}"}
    done = subprocess.run(
        argv, cwd=root, env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode not in {0, EXIT_NO} or (done.returncode and not done.stdout.strip()):
        said = done.stderr.strip().splitlines()
        raise Refusal(
            f"tools/contracts.py could not judge: {said[-1] if said else 'it wrote nothing'}"
        )
    return done.stdout.splitlines()


def _set_version(project: Path, version: str) -> None:
    line = re.compile(r'^version = ".*"$', re.MULTILINE)
    text = line.sub(f'version = "{version}"', project.read_text(), count=1)
    fresh = project.with_suffix(".toml.new")
    fresh.write_text(text)
    fresh.rename(project)


@click.command(
    short_help="Make the contracts of today the baseline; collect the change log.",
    epilog=examples(
        "./tandem release 0.2.0 --dry-run",
        "./tandem release 0.2.0",
        "./tandem release 1.0.0 --accept-breaking",
    ),
)
@click.argument("version")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--accept-breaking", is_flag=True, help="Replace the baseline even so.")
@as_json
def release(*, version: str, dry_run: bool, accept_breaking: bool, as_json: bool) -> None:
    """Hold today's contracts against the baseline, then make them the baseline of VERSION.

    The fragments in changes/ become a section of CHANGELOG.md. Commit and tag are yours.
    """
    environment = Environment.read()
    root = root_of(environment)
    steps = Steps(sys.stderr, cache_of(environment))
    try:
        python = asyncio.run(checks(environment, steps))
    except StepFailure as failure:
        raise Refusal(f"{failure.step} failed: {failure.reason}", EXIT_NO) from failure
    found = _contracts(python, root, environment, "check")
    fragments = changelog.fragments_in(root / "changes")
    section = changelog.section(version, SystemClock().now().date(), fragments)
    if found and not accept_breaking:
        listed = "\n".join(found)
        raise Refusal(f"buf objects; --accept-breaking overrules it:\n{listed}", EXIT_NO)
    if not dry_run:
        _contracts(python, root, environment, "write-baseline")
        _set_version(root / "pyproject.toml", version)
        changelog.release(root, section, fragments)
    value = {"version": version, "done": not dry_run, "breaking": found, "section": section}
    verb = "would become" if dry_run else "became"
    told = f"the contracts {verb} the baseline.\n\n{section}"
    emit(value, as_json=as_json, text=lambda: told)
