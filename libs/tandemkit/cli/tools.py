"""`tandem tools`: Consul and grpcurl, built once from tools/go.mod or found on PATH."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from tandemkit.cli.checkout import cache_of, root_of
from tandemkit.cli.locks import alone
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples, table
from tandemkit.cli.pinned import fresh_folder
from tandemkit.cli.steps import Step, StepFailure, Steps
from tandemkit.core.environment import Environment

PROGRAMS = ("consul", "grpcurl")
# The `tool` lines of tools/go.mod came with 1.24; Consul 1.22 itself asks for 1.25.
_GO_MIN = (1, 25)
GO_BUILD = ("-mod=readonly", "-trimpath", "-ldflags=-s -w")


@dataclass(frozen=True, slots=True)
class Tools:
    """Programs by name. `built` says whether this run made them."""

    programs: dict[str, Path]
    built: bool


def folder_of(root: Path, environment: Environment) -> Path:
    """Where the build of this checkout's pins belongs."""
    pins = b"".join((root / "tools" / name).read_bytes() for name in ("go.mod", "go.sum"))
    return environment.tools / hashlib.sha256(pins).hexdigest()[:16]


async def obtain(environment: Environment, steps: Steps, *, build_anyway: bool = False) -> Tools:
    """The tools: already built, on PATH, or built now. StepFailure or Refusal where neither."""
    root = root_of(environment)
    home = folder_of(root, environment)
    if not home.exists():
        if not build_anyway and (present := _on_path(root, environment)):
            return Tools(present, built=False)
        waiting = functools.partial(steps.say, "another build of the tools runs; waiting for it")
        async with alone(home.with_suffix(".lock"), waiting) as lock:
            if not home.exists():
                await _build(root, home, environment, steps.holding(lock))
                return Tools(_in(home), built=True)
    return Tools(_in(home), built=False)


def _in(home: Path) -> dict[str, Path]:
    return {program: home / "bin" / program for program in PROGRAMS}


def _on_path(root: Path, environment: Environment) -> dict[str, Path] | None:
    """Those on PATH, if Consul's is of the release line that go.mod pins."""
    found = {program: shutil.which(program, path=environment.path) for program in PROGRAMS}
    paths = {program: Path(path) for program, path in found.items() if path}
    if len(paths) < len(PROGRAMS):
        return None
    pinned = re.search(r"hashicorp/consul v(\d+\.\d+)\.", (root / "tools" / "go.mod").read_text())
    said = subprocess.run([paths["consul"], "version"], capture_output=True, text=True, check=False)
    return paths if pinned and f"v{pinned[1]}." in said.stdout else None


async def _build(root: Path, home: Path, environment: Environment, steps: Steps) -> None:
    go = go_program(environment)
    variables = {**environment.variables, "CGO_ENABLED": "0"}
    source = root / "tools"
    listed = (go, "list", "-mod=readonly", "-deps", "-f", "{{.ImportPath}}", "tool")
    steps.say("building Consul and grpcurl, once; this takes about five minutes on two cores")
    # Listing what is compiled fetches what it needs, unlike `go mod download`, which fetches all.
    await steps.run(Step("fetching the Go modules", listed, variables, source))
    count = functools.partial(subprocess.run, capture_output=True, text=True, check=False)
    counted = await asyncio.to_thread(count, listed, cwd=source, env=variables)
    packages = len(counted.stdout.splitlines())
    with fresh_folder(home) as folder:
        argv = (go, "build", "-v", *GO_BUILD, "-o", f"{folder}/bin/", "tool")
        compiled = functools.partial(_compiled, packages)
        await steps.run(Step("compiling", argv, variables, source, compiled))


def _compiled(packages: int, log: str) -> str:
    # `go build -v` names each package that it compiles; what its cache holds is not named.
    return f"{len(log.splitlines())} of at most {packages} packages"


def go_program(environment: Environment) -> str:
    go = shutil.which("go", path=environment.path)
    if go is None:
        raise Refusal("Go is not on PATH; install Go 1.25 or newer, then run this again.")
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"go(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < _GO_MIN:
        raise Refusal(f"{go} is too old ({said.strip()}); install Go 1.25 or newer.")
    return go


@click.command(
    short_help="Build Consul and grpcurl once, or use those on PATH.",
    epilog=examples(
        "./tandem tools", 'PATH="$(./tandem tools --json | jq -r .folder):$PATH" consul version'
    ),
)
@click.option("--build", "build_anyway", is_flag=True, help="Build them even if PATH has them.")
@as_json
def tools(*, build_anyway: bool, as_json: bool) -> None:
    """Build Consul and grpcurl once into the cache, or use the ones on PATH.

    Interrupted, it goes on where it was: Go keeps what it has compiled.
    """
    environment = Environment.read()
    steps = Steps(sys.stderr, cache_of(environment))
    try:
        found = asyncio.run(obtain(environment, steps, build_anyway=build_anyway))
    except StepFailure as failure:
        raise Refusal(f"{failure.step} failed: {failure.reason}", EXIT_NO) from failure
    rows = [
        (name, f"{path.stat().st_size / 1e6:.0f} MB", str(path))
        for name, path in found.programs.items()
    ]
    value = {
        "folder": str(found.programs["consul"].parent),
        "built": found.built,
        "programs": {name: str(path) for name, path in found.programs.items()},
    }
    emit(value, as_json=as_json, text=lambda: table(rows))
