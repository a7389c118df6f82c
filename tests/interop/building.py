"""What `./tandem clients` writes, built with the language's own tools, and a driver against it.

A build is kept in the user's cache under the digest of all that it was made from, so the second
run has nothing to do.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tandemkit.cli.locks import alone
from tandemkit.cli.main import main
from tandemkit.cli.pinned import fresh_folder
from tandemkit.cli.steps import Step, StepFailure, Steps
from tandemkit.core.environment import Environment
from tandemkit.testing.parts import demand

HERE = Path(__file__).resolve().parent
# The checkout, or what Pants has of it in its sandbox.
ROOT = HERE.parents[1]
# Pants learns from the import what the command is made of.
TANDEM = (sys.executable, "-P", "-c", f"from {main.__module__} import main; main()")
_KEPT_MAX = 2


@dataclass(frozen=True, slots=True)
class Built:
    """How one starts the driver, and the example that the package brings."""

    language: str
    argv: tuple[str, ...]
    example: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder with `client`, the package, and `driver`, our program that uses it."""

    folder: Path
    cache: Path
    steps: Steps
    programs: Mapping[str, Path]

    async def run(self, where: str, *argv: str, **variables: str) -> None:
        title = f"{Path(argv[0]).name} {argv[1]} in {where}"
        known = {**Environment.read().variables, **variables}
        await self.steps.run(Step(title, argv, known, self.folder / where))


async def _go(workshop: Workshop) -> None:
    go = str(workshop.programs["go"])
    # The flags of the tools' own build: what both need is then compiled once.
    build = (go, "build", "-p", "2", "-trimpath", "-ldflags=-s -w", "-o")
    await workshop.run("client", *build, "../example", "./example", CGO_ENABLED="0")
    await workshop.run("driver", go, "mod", "tidy")
    await workshop.run("driver", *build, "../run", ".", CGO_ENABLED="0")


async def _node(workshop: Workshop) -> None:
    npm, quiet = str(workshop.programs["npm"]), ("--no-audit", "--no-fund")
    await workshop.run("client", npm, "install", *quiet)
    # As it would be published: only what the package says belongs to it.
    await workshop.run("client", npm, "pack", "--pack-destination", "..")
    (packed,) = workshop.folder.glob("*.tgz")
    packed.rename(workshop.folder / "tandem-client.tgz")
    await workshop.run("driver", npm, "install", *quiet)


async def _java(workshop: Workshop) -> None:
    mvn, javac = str(workshop.programs["mvn"]), str(workshop.programs["javac"])
    await workshop.run("client", mvn, "package", "--batch-mode", "--quiet")
    libraries = "client/target/classes:client/target/lib/*"
    await workshop.run(".", javac, "-cp", libraries, "-d", "run", "driver/Driver.java")


async def _rust(workshop: Workshop) -> None:
    cargo, target = str(workshop.programs["cargo"]), workshop.cache / "cargo-target"
    for where, what in (("client", "--examples"), ("driver", "--bins")):
        known = {"CARGO_TARGET_DIR": str(target), "CARGO_INCREMENTAL": "0"}
        await workshop.run(where, cargo, "build", "--quiet", what, **known)
    shutil.copy2(target / "debug" / "driver", workshop.folder / "run")
    shutil.copy2(target / "debug" / "examples" / "call", workshop.folder / "example")


_MAKERS = {"go": _go, "node": _node, "java": _java, "rust": _rust}


def _starts(language: str, home: Path, programs: Mapping[str, Path]) -> Built:
    if language == "node":
        node = str(programs["node"])
        example = (node, f"{home}/client/example.js")
        return Built(language, (node, f"{home}/driver/driver.js"), example)
    if language == "java":
        libraries = f"{home}/run:{home}/client/target/classes:{home}/client/target/lib/*"
        # It lives for seconds on a small machine: start soon rather than run fast later.
        soon = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", libraries)
        java = (str(programs["java"]), *soon)
        return Built(language, (*java, "Driver"), (*java, "tandem.Example"))
    return Built(language, (f"{home}/run",), (f"{home}/example",))


async def built(language: str, scratch: Path) -> Built:
    """Skips where the language's tools are absent, and fails with what they said."""
    programs = demand(language)
    cache = Environment.read().cache / "interop"
    cache.mkdir(parents=True, exist_ok=True)
    steps = Steps(sys.stderr, cache)
    try:
        package = await written(language, scratch / language, steps)
        home = cache / f"{language}-{_digest(package, HERE / 'drivers' / language)}"
        waiting = functools.partial(steps.say, "another run builds it; waiting for it")
        async with alone(cache / f"{language}.lock", waiting):
            if not home.exists():
                with fresh_folder(home) as folder:
                    shutil.copytree(package, folder / "client")
                    shutil.copytree(HERE / "drivers" / language, folder / "driver")
                    await _MAKERS[language](Workshop(folder, cache, steps, programs))
            os.utime(home)
            _forget_old(cache, language)
    except StepFailure as failure:
        pytest.fail(f"{failure.step} failed:\n{failure.output}", pytrace=False)
    return _starts(language, home, programs)


async def written(language: str, folder: Path, steps: Steps) -> Path:
    """The package, by the command itself."""
    argv = (*TANDEM, "clients", language, str(folder))
    await steps.run(Step(f"clients {language}", argv, environment()))
    return folder


def environment() -> dict[str, str]:
    """Ours, and what `./tandem` adds to it."""
    path = os.pathsep.join(sys.path)
    return {**Environment.read().variables, "PYTHONPATH": path, "TANDEM_ROOT": str(ROOT)}


def _digest(*folders: Path) -> str:
    whole = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            content = path.read_bytes()
            whole.update(f"{path.relative_to(folder)} {len(content)}\n".encode() + content)
    return whole.hexdigest()[:16]


def _forget_old(cache: Path, language: str) -> None:
    homes = sorted(cache.glob(f"{language}-*"), key=lambda home: home.stat().st_mtime)
    for home in homes[:-_KEPT_MAX]:
        shutil.rmtree(home)
