"""`tandem bench`: the benchmarks of tests/bench, in this environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from tandemkit.cli.checkout import root_of
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples
from tandemkit.core.environment import Environment


def benchmarks(root: Path) -> dict[str, Path]:
    """By name, which is the file's."""
    files = sorted((root / "tests" / "bench").glob("*.py"))
    return {path.stem: path for path in files if not path.stem.startswith(("_", "conftest"))}


@click.command(
    short_help="Run the benchmarks of tests/bench.",
    epilog=examples("./tandem bench", "./tandem bench call_overhead"),
)
@click.argument("name", required=False)
@as_json
def bench(*, name: str | None, as_json: bool) -> int:
    """Run the benchmark NAME, or all of tests/bench, and print what each printed."""
    known = benchmarks(root_of(Environment.read()))
    if name is not None and name not in known:
        raise Refusal(f"no benchmark {name!r}; there are: {', '.join(known) or 'none'}.")
    results = []
    for each in [name] if name else list(known):
        done = subprocess.run(
            [sys.executable, known[each]], stdout=subprocess.PIPE, text=True, check=False
        )
        results.append({"name": each, "exit_status": done.returncode, "output": done.stdout})
    emit(
        results,
        as_json=as_json,
        text=lambda: "\n".join(f"{r['name']}\n{r['output']}" for r in results),
    )
    return EXIT_NO if any(result["exit_status"] for result in results) else 0
