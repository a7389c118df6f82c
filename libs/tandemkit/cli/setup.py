"""`tandem setup`: what tests, models or the edge need, installed when asked for."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import click

from tandemkit.cli import edge, embedding_model, machine_learning, slow_tools
from tandemkit.cli.checkout import cache_of, root_of
from tandemkit.cli.output import EXIT_NO, Refusal, as_json, emit, examples
from tandemkit.cli.parts import PARTS, Part, Source, find
from tandemkit.cli.pinned import environment_of
from tandemkit.cli.steps import Step, StepFailure, Steps
from tandemkit.cli.tools import Tools, obtain
from tandemkit.core.environment import Environment

_POLICY = Path("/usr/sbin/policy-rc.d")
_HERE = "all parts for tests are here, but for those that --slow builds."
# 101: "action not allowed". A package's server then does not start by being installed.
_NO_SERVICES = "#!/bin/sh\nexit 101\n"


def missing_packages(environment: Environment) -> list[str]:
    """Debian packages of the parts that are not here."""
    absent = [p for p in PARTS if p.source is Source.DEBIAN and find(p, environment) is None]
    return sorted({package for part in absent for package in part.provider.split()})


def privileged(environment: Environment) -> tuple[str, ...] | None:
    """How to become root: no words for root itself; None where there is no way without asking."""
    if os.geteuid() == 0:
        return ()
    sudo = shutil.which("sudo", path=environment.path)
    return (sudo, "-n") if sudo else None


def plan(packages: list[str], policy: Path) -> list[tuple[str, ...]]:
    """The commands, for root, in order; the last one lets services start again."""
    apt = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet")
    return [
        ("install", "-m", "755", str(policy), str(_POLICY)),
        (*apt, "update"),
        (*apt, "install", "--yes", "--no-install-recommends", *packages),
        ("rm", "-f", str(_POLICY)),
    ]


async def _install(packages: list[str], prefix: tuple[str, ...], steps: Steps) -> None:
    with tempfile.NamedTemporaryFile("w", dir=steps.logs, prefix="policy-") as policy:
        policy.write(_NO_SERVICES)
        policy.flush()
        hold, *commands, release = plan(packages, Path(policy.name))
        # Somebody's own policy, as container images have one, stays.
        ours = not _POLICY.exists()
        try:
            for command in (hold, *commands) if ours else commands:
                await _run(prefix, command, steps)
        finally:
            if ours:
                await _run(prefix, release, steps)


async def _run(prefix: tuple[str, ...], command: tuple[str, ...], steps: Steps) -> None:
    await steps.run(Step(shlex.join(command), (*prefix, *command)))


@click.group(
    short_help="Install what tests, models or the edge need.",
    epilog=examples(
        "./tandem setup test --dry-run",
        "./tandem setup test",
        "./tandem setup model",
        "./tandem setup ml",
        "./tandem setup edge",
    ),
)
def setup() -> None:
    """Install what tests, models or the edge need. Nothing else installs anything."""


@setup.command(
    "test",
    short_help="Install the Debian parts and build the tools.",
    epilog=examples(
        "./tandem setup test --dry-run",
        "sudo -v && ./tandem setup test",
        "./tandem setup test --slow",
    ),
)
@click.option("--slow", is_flag=True, help="Build those that take minutes too: Ollama.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@as_json
def for_tests(*, slow: bool, dry_run: bool, as_json: bool) -> None:
    """Install the Debian parts with apt-get (as root, or by sudo), fetch what stands apart, and
    build Consul and grpcurl.

    Without it the tests that need these parts skip. Installed servers are not started. Parts that
    take minutes to build are left out, and their tests skip, until --slow asks for them.
    """
    environment = Environment.read()
    packages = missing_packages(environment)
    if slow:
        packages += slow_tools.missing_headers(root_of(environment), environment)
    if dry_run:
        commands = plan(packages, Path("policy-rc.d")) if packages else []
        said = [shlex.join(command) for command in commands]
        said += ["./tandem setup model"]
        said += [
            f"uv pip install --require-hashes --no-deps -r {part.provider}" for part in _pinned()
        ]
        said += ["./tandem tools", *(["go build github.com/ollama/ollama"] if slow else [])]
        emit({"commands": said}, as_json=as_json, text=lambda: "\n".join(said))
        return
    steps = Steps(sys.stderr, cache_of(environment))
    try:
        if packages:
            asyncio.run(_install(packages, _way_to_root(environment, packages), steps))
        found = asyncio.run(_fetched(environment, steps))
        if slow:
            asyncio.run(slow_tools.obtain(environment, steps))
    except StepFailure as failure:
        raise Refusal(f"{failure.step} failed: {failure.reason}", EXIT_NO) from failure
    value = {
        "installed": packages,
        "parts": [part.name for part in PARTS if find(part, environment)],
        "tools": {name: str(path) for name, path in found.programs.items()},
    }
    emit(value, as_json=as_json, text=lambda: "all parts for tests are here." if slow else _HERE)


async def _fetched(environment: Environment, steps: Steps) -> Tools:
    await embedding_model.obtain(environment, steps)
    for part in _pinned():
        await environment_of(root_of(environment) / part.provider, environment, steps)
    return await obtain(environment, steps)


def _pinned() -> list[Part]:
    return [part for part in PARTS if part.source is Source.PINNED]


def _way_to_root(environment: Environment, packages: list[str]) -> tuple[str, ...]:
    wanted = " ".join(packages)
    if shutil.which("apt-get", path=environment.path) is None:
        raise Refusal(f"no apt-get here; install by this system's own means: {wanted}.")
    prefix = privileged(environment)
    if prefix is None:
        raise Refusal(f"needs root; run as root: apt-get install {wanted}; then run this again.")
    return prefix


@setup.command(
    "model",
    short_help="Fetch the embedding model, once.",
    epilog=examples("./tandem setup model"),
)
@as_json
def for_embedding(*, as_json: bool) -> None:
    """Fetch the embedding model into the cache, once: 83 MB. `./tandem up` does it by itself."""
    environment = Environment.read()
    steps = Steps(sys.stderr, cache_of(environment))
    try:
        folder = str(asyncio.run(embedding_model.obtain(environment, steps)))
    except StepFailure as failure:
        raise Refusal(f"{failure.step} failed: {failure.reason}", EXIT_NO) from failure
    emit({"folder": folder}, as_json=as_json, text=lambda: folder)


@setup.command(
    "ml", short_help="Make an environment with torch, once.", epilog=examples("./tandem setup ml")
)
@as_json
def for_models(*, as_json: bool) -> None:
    """Make an environment with torch in the cache, once: about 6 GB. Nothing else fetches torch."""
    environment = Environment.read()
    steps = Steps(sys.stderr, cache_of(environment))
    try:
        python = asyncio.run(machine_learning.obtain(environment, steps))
    except StepFailure as failure:
        raise Refusal(f"{failure.step} failed: {failure.reason}", EXIT_NO) from failure
    site = machine_learning.site_packages(python)
    value = {"python": str(python), "TANDEM_TORCH_SITE": str(site)}
    emit(value, as_json=as_json, text=lambda: f"export TANDEM_TORCH_SITE={site}")


@setup.command("edge", short_help="Fetch Envoy, once.", epilog=examples("./tandem setup edge"))
@as_json
def for_the_edge(*, as_json: bool) -> None:
    """Fetch Envoy into the cache, once: about 100 MB. `./tandem up --edge` does it by itself."""
    path = str(edge.program(Environment.read()))
    emit({"envoy": path}, as_json=as_json, text=lambda: path)
