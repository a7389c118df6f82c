"""The host of the agents that are written in Go: built once of its sources and of the contracts
that they import, into the cache, under the digest of both.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tandemkit.cli.checkout import cache_of, root_of
from tandemkit.cli.clients import go_stubs
from tandemkit.cli.clients.contracts import Contracts
from tandemkit.cli.locks import alone
from tandemkit.cli.pinned import fresh_folder
from tandemkit.cli.steps import Step, Steps
from tandemkit.cli.tools import GO_BUILD, go_program
from tandemkit.core.environment import Environment

# Where a checkout has the sources, and where a build has their stubs beside them.
SOURCES = PurePosixPath("services/polyglot/go")
_STUBS = "stubs"
_MODULE = f"tandem/polyglot/{_STUBS}"
_PROGRAM = "host"
_IMPORTED = re.compile(rf'"{_MODULE}/(?P<folder>tandem/[a-z0-9_/]+)"')
_NEEDED = re.compile(r'^import "(?P<path>tandem/[a-z0-9_/]+\.proto)";', re.MULTILINE)
_KEPT_MAX = 3


@dataclass(frozen=True, slots=True)
class GoHost:
    """One build: the program, and the sources with their stubs, as Go's own tools want them."""

    program: Path
    sources: Path


async def obtain(environment: Environment, steps: Steps) -> GoHost:
    """The host as this checkout has it: built already, or built now. StepFailure, or Refusal where
    there is no Go to build it with.
    """
    root, home = root_of(environment), _home(environment)
    if not home.exists():
        waiting = functools.partial(steps.say, "another run builds the Go host; waiting for it")
        async with alone(home.parent / "go.lock", waiting) as lock:
            if not home.exists():
                made = _Making(root, environment, steps.holding(lock), home)
                await made.build()
    os.utime(home)
    return GoHost(home / _PROGRAM, home / "sources")


def is_built(environment: Environment) -> bool:
    """Refusal where there is no Go to build it with."""
    if not _home(environment).exists():
        go_program(environment)
        return False
    return True


def _home(environment: Environment) -> Path:
    return cache_of(environment) / "polyglot" / f"go-{digest_of(root_of(environment))}"


@dataclass(frozen=True, slots=True)
class _Making:
    """One build under way."""

    root: Path
    environment: Environment
    steps: Steps
    home: Path

    async def build(self) -> None:
        go = go_program(self.environment)
        self.steps.say("building the Go host, once")
        with fresh_folder(self.home) as folder:
            place = folder / "sources"
            stubs = await self._stubs(sorted(contracts_of(self.root)))
            for path, content in {**_sources(self.root), **stubs}.items():
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                (place / path).write_bytes(content)
            argv = (go, "build", *GO_BUILD, "-o", str(folder / _PROGRAM), ".")
            variables = {**self.environment.variables, "CGO_ENABLED": "0"}
            await self.steps.run(Step("building the Go host", argv, variables, place))
        _forget_old(self.home.parent)

    async def _stubs(self, protos: list[str]) -> dict[str, bytes]:
        """Of the contracts with their rules, unlike those that clients get."""
        cache = cache_of(self.environment)
        with tempfile.TemporaryDirectory(dir=cache, prefix="go-stubs-") as text:
            scratch = Path(text)
            image = scratch / "image.binpb"
            argv = (sys.executable, "-P", "-m", "tools.stubs", f"--descriptor-set={image}")
            path = os.pathsep.join((str(self.root), *sys.path))
            variables = {"PYTHONPATH": path, "PATH": os.defpath}
            await self.steps.run(Step("reading the contracts", argv, variables, self.root))
            compiled = FileDescriptorSet.FromString(image.read_bytes())
            contracts = Contracts(dict.fromkeys(protos, ""), compiled)
            made = await go_stubs.generate(
                contracts, _MODULE, self.environment, scratch, self.steps
            )
        return {f"{_STUBS}/{path}": content for path, content in made.items()}


def _sources(root: Path) -> dict[str, bytes]:
    """By path; what a developer generated beside them is none of it."""
    folder = root / SOURCES
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    paths = {path.relative_to(folder): path for path in found}
    return {
        str(relative): path.read_bytes()
        for relative, path in paths.items()
        if relative.parts[0] != _STUBS
    }


def contracts_of(root: Path) -> dict[str, bytes]:
    """Those whose stubs the sources import, and all of ours that those import, by path."""
    texts = (content for path, content in _sources(root).items() if path.endswith(".go"))
    folders = {one["folder"] for text in texts for one in _IMPORTED.finditer(text.decode())}
    waiting = [path for folder in folders for path in _in_folder(root, folder)]
    found: dict[str, bytes] = {}
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = (root / "protos" / path).read_bytes()
            needed = (one["path"] for one in _NEEDED.finditer(found[path].decode()))
            # A package is generated whole: its other files would miss what they share.
            folders = {str(PurePosixPath(one).parent) for one in needed}
            waiting += [beside for folder in folders for beside in _in_folder(root, folder)]
    return found


def _in_folder(root: Path, folder: str) -> Iterable[str]:
    return (f"{folder}/{path.name}" for path in sorted((root / "protos" / folder).glob("*.proto")))


def digest_of(root: Path) -> str:
    """Of all that the host is built of."""
    whole = hashlib.sha256()
    for part in (_sources(root), contracts_of(root)):
        for path, content in sorted(part.items()):
            whole.update(f"{path} {len(content)}\n".encode() + content)
    return whole.hexdigest()[:16]


def _forget_old(folder: Path) -> None:
    homes = sorted(folder.glob("go-*/"), key=lambda home: home.stat().st_mtime)
    for home in homes[:-_KEPT_MAX]:
        shutil.rmtree(home)
