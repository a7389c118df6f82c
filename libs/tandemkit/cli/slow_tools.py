"""Ollama for tests, built once from tools/ollama/go.mod, for those who ask for the slow parts."""

from __future__ import annotations

import functools
import hashlib
import re
import shutil
from pathlib import Path

from tandemkit.cli.checkout import root_of
from tandemkit.cli.locks import alone
from tandemkit.cli.parts import BY_NAME, home_of_builds
from tandemkit.cli.pinned import fresh_folder
from tandemkit.cli.steps import Step, Steps
from tandemkit.cli.tools import go_program
from tandemkit.core.environment import Environment

_OLLAMA = "github.com/ollama/ollama"
# Its module has no headers of others. Debian has these; miniaudio's comes with a Go module.
_FROM_DEBIAN = {
    "g++": "/usr/bin/g++",
    "nlohmann-json3-dev": "/usr/include/nlohmann/json.hpp",
    "libstb-dev": "/usr/include/stb/stb_image.h",
}
_MINIAUDIO = "github.com/gen2brain/malgo"
# A model of half a megabyte needs no more.
_FLAGS = "-O1"


def is_built(root: Path, environment: Environment) -> bool:
    """Whether the version that this checkout pins is here."""
    return _home(root, environment).exists()


def missing_headers(root: Path, environment: Environment) -> list[str]:
    """Debian packages that a build would lack."""
    if is_built(root, environment):
        return []
    return [package for package, path in _FROM_DEBIAN.items() if not Path(path).exists()]


async def obtain(environment: Environment, steps: Steps) -> Path:
    """The program: built before, or now. StepFailure or Refusal where it cannot be."""
    root = root_of(environment)
    home = _home(root, environment)
    waiting = functools.partial(steps.say, "another run builds Ollama; waiting for it")
    async with alone(home.with_suffix(".lock"), waiting) as lock:
        if not home.exists():
            await _build(root / "tools" / "ollama", home, environment, steps.holding(lock))
    return home / "bin" / "ollama"


def _home(root: Path, environment: Environment) -> Path:
    pins = b"".join((root / "tools/ollama" / name).read_bytes() for name in ("go.mod", "go.sum"))
    digest = hashlib.sha256(pins + _FLAGS.encode()).hexdigest()[:16]
    return home_of_builds(BY_NAME["ollama"], environment) / digest


async def _build(source: Path, home: Path, environment: Environment, steps: Steps) -> None:
    go = go_program(environment)
    steps.say("building Ollama, once; this takes about three minutes on two cores")
    variables = dict(environment.variables)
    listed = (go, "list", "-mod=readonly", "-deps", _OLLAMA)
    await steps.run(Step("fetching the Go modules", listed, variables, source))
    fetch = (go, "mod", "download", _MINIAUDIO)
    await steps.run(Step("fetching miniaudio", fetch, variables, source))
    where = (go, "list", "-m", "-f", "{{.Dir}}", _MINIAUDIO)
    module = (await steps.run(Step("finding miniaudio", where, variables, source))).split()[-1]
    with fresh_folder(home) as folder:
        headers = folder / "include"
        (headers / "miniaudio").mkdir(parents=True)
        shutil.copy(Path(module) / "miniaudio.h", headers / "miniaudio")
        flags = {f"CGO_{kind}FLAGS": f"{_FLAGS} -I{headers}" for kind in ("C", "CXX")}
        compiled = (*_build_command(go, source), "-o", f"{folder}/bin/ollama", _OLLAMA)
        wanted = {**variables, "CGO_ENABLED": "1", **flags}
        await steps.run(Step("compiling", compiled, wanted, source, _count))


def _build_command(go: str, source: Path) -> tuple[str, ...]:
    version = re.search(rf"{re.escape(_OLLAMA)} v(\S+)", (source / "go.mod").read_text())
    # Without it the server says that it is version 0.0.0.
    said = f"-X={_OLLAMA}/version.Version={version[1]}" if version else ""
    return (go, "build", "-v", "-mod=readonly", "-trimpath", f"-ldflags=-s -w {said}")


def _count(log: str) -> str:
    return f"{len(log.splitlines())} packages"
