"""`tandem bench`: the benchmarks of tests/bench, in the environment that checks and tests have."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from tandemkit.cli.checkout import cache_of, root_of
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, examples
from tandemkit.cli.pinned import checks
from tandemkit.cli.steps import StepFailure, Steps
from tandemkit.core.environment import Environment


def benchmarks(root: Path) -> dict[str, Path]:
    """By name, which is the file's."""
    files = sorted((root / "tests" / "bench").glob("*.py"))
    return {path.stem: path for path in files if not path.stem.startswith(("_", "conftest"))}


@click.command(
    short_help="Run the benchmarks of tests/bench.",
    epilog=examples("./tandem bench", "./tandem bench call_overhead --json"),
)
@click.argument("name", required=False)
@as_json
def bench(*, name: str | None, as_json: bool) -> int:
    """Run the benchmark NAME, or all of tests/bench. They measure and print; they judge nothing."""
    environment = Environment.read()
    known = benchmarks(root_of(environment))
    if name is not None and name not in known:
        raise Refusal(f"no benchmark {name!r}; there are: {', '.join(known) or 'none'}.")
    chosen = {name: known[name]} if name else known
    python = _python(environment)
    if as_json:
        results = [_measured(python, each, path) for each, path in chosen.items()]
        click.echo(json.dumps(results, indent=2))
        return EXIT_NO if any(result["exit_status"] for result in results) else 0
    # Their output goes where ours goes, as it comes: a benchmark takes its time.
    done = [subprocess.run([python, path], check=False) for path in chosen.values()]
    return EXIT_NO if any(one.returncode for one in done) else 0


def _python(environment: Environment) -> Path:
    """Benchmarks start hosts and controls as tests do, and with what only tests need."""
    steps = Steps(sys.stderr, cache_of(environment))
    try:
        return asyncio.run(checks(environment, steps))
    except StepFailure as failure:
        raise Refusal(f"{failure.step} failed: {failure.reason}", EXIT_NO) from failure


def _measured(python: Path, name: str, path: Path) -> dict[str, Any]:
    argv = (str(python), str(path), "--json")
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
    try:
        results = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    except ValueError as error:
        raise Refusal(f"benchmark {name} prints something that is no JSON.", EXIT_NO) from error
    return {"name": name, "exit_status": done.returncode, "results": results}
