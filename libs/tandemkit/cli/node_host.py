"""The program of hosts for Node: built once of `services/polyglot/node` and the contracts, and kept
in the user's cache under the digest of all that it was made of.

Nothing of it is fetched but the packages that package-lock.json names, by their hashes.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tandemkit.cli.checkout import cache_of, root_of
from tandemkit.cli.locks import alone
from tandemkit.cli.output import Refusal
from tandemkit.cli.parts import BY_NAME, find
from tandemkit.cli.pinned import fresh_folder
from tandemkit.cli.steps import Step, Steps
from tandemkit.core.environment import Environment

SOURCES = Path("services/polyglot/node")
# What the kit itself speaks; what the agents speak, their family has.
_KIT = (
    "tandem/control/v1/host_service.proto",
    "tandem/control/v1/errors.proto",
    "tandem/control/v1/registry_service.proto",
    "tandem/control/v1/traffic_policy.proto",
    "tandem/fleet/v1/plan.proto",
    "tandem/type/v1/platform_error.proto",
)
_FAMILY = "tandem/polyglot/"
# Contracts of gRPC and Google that our packages for Python carry.
_CARRIED = (
    health_pb2.DESCRIPTOR,
    reflection_pb2.DESCRIPTOR,
    status_pb2.DESCRIPTOR,
    error_details_pb2.DESCRIPTOR,
)
_MADE_HERE = ("node_modules", "gen", "dist")
_KEPT_MAX = 3
_NODE_MIN = 20
_NEEDED = re.compile(r'^import "(?P<path>tandem/[a-z0-9_/]+\.proto)";', re.MULTILINE)
# The packages bring these with them.
_WELL_KNOWN = "google/protobuf/"


@dataclass(frozen=True, slots=True)
class NodeHost:
    """How it is started: the plan and the options of the host come behind."""

    node: Path
    folder: Path

    @property
    def argv(self) -> tuple[str, ...]:
        return (str(self.node), str(self.folder / "dist" / "src" / "main.js"))


async def obtain(environment: Environment, steps: Steps) -> NodeHost:
    """The host as this checkout has it: built already, or built now. StepFailure with what the
    tools say of the sources, or Refusal where there is no Node for it.
    """
    programs, root, home = _programs(environment), root_of(environment), _home(environment)
    if not home.exists():
        _check_version(programs["node"])
        waiting = functools.partial(steps.say, "another run builds the host for Node; waiting")
        async with alone(home.parent / "node.lock", waiting) as lock:
            if not home.exists():
                npm = _Npm(str(programs["npm"]), environment, steps.holding(lock))
                await _build(root, home, npm)
                _forget_old(home.parent)
    os.utime(home)
    return NodeHost(programs["node"], home)


def is_built(environment: Environment) -> bool:
    """Refusal where there is no Node for it."""
    programs = _programs(environment)
    if not _home(environment).exists():
        _check_version(programs["node"])
        return False
    return True


def _programs(environment: Environment) -> dict[str, Path]:
    programs = find(BY_NAME["node"], environment)
    if programs is None:
        raise Refusal(f"Node is absent: {BY_NAME['node'].how_to_get}.")
    return programs


def _home(environment: Environment) -> Path:
    return cache_of(environment) / "polyglot" / f"node-{_digest(root_of(environment))}"


def _check_version(node: Path) -> None:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.", said)
    if version is None or int(version[1]) < _NODE_MIN:
        raise Refusal(f"{node} is too old ({said.strip()}); install Node {_NODE_MIN} or newer.")


@dataclass(frozen=True, slots=True)
class _Npm:
    program: str
    environment: Environment
    steps: Steps

    async def run(self, title: str, folder: Path, *argv: str) -> None:
        step = Step(title, (self.program, *argv), self.environment.variables, folder)
        await self.steps.run(step)


async def _build(root: Path, home: Path, npm: _Npm) -> None:
    sources = root / SOURCES
    npm.steps.say("building the host for Node, once")
    with fresh_folder(home) as folder:
        for path in _own(sources):
            place = folder / path.relative_to(sources)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
        quiet = ("--no-audit", "--no-fund", "--ignore-scripts")
        await npm.run("fetching the packages for Node", folder, "ci", *quiet)
        await _write_messages(folder, await _contracts(root, folder, npm.steps), npm.steps)
        await npm.run("building the host for Node", folder, "run", "build", "--silent")


async def _write_messages(folder: Path, contracts: FileDescriptorSet, steps: Steps) -> None:
    """The contracts as TypeScript, which the compiler then holds the agents to."""
    image, out = folder / "contracts.binpb", folder / "gen"
    image.write_bytes(contracts.SerializeToString(deterministic=True))
    out.mkdir()
    maker = folder / "node_modules" / ".bin" / "protoc-gen-es"
    wanted = [one.name for one in contracts.file if not one.name.startswith(_WELL_KNOWN)]
    argv = (
        *(sys.executable, "-P", "-m", "grpc_tools.protoc", f"--descriptor_set_in={image}"),
        *(f"--plugin=protoc-gen-es={maker}", f"--es_out={out}"),
        *("--es_opt=target=ts,import_extension=js", *wanted),
    )
    await steps.run(Step("writing TypeScript", argv, _python(folder), folder))


async def _contracts(root: Path, scratch: Path, steps: Steps) -> FileDescriptorSet:
    """What the kit and its agents speak, with all imports, each file behind its own."""
    image = scratch / "image.binpb"
    argv = (sys.executable, "-P", "-m", "tools.stubs", f"--descriptor-set={image}")
    await steps.run(Step("reading the contracts", argv, _python(root), root))
    known = {one.name: one for one in FileDescriptorSet.FromString(image.read_bytes()).file}
    known |= {one.name: one for file in _CARRIED for one in _closure(file)}
    found: dict[str, FileDescriptorProto] = {}
    for name in (*_texts(root), *(one.name for one in _CARRIED)):
        _add(name, known, found)
    return FileDescriptorSet(file=found.values())


def _texts(root: Path) -> dict[str, bytes]:
    """Of our contracts that are spoken, by path, and of all of ours that they import."""
    folder = root / "protos"
    family = (str(path.relative_to(folder)) for path in sorted((folder / _FAMILY).rglob("*.proto")))
    waiting, found = [*_KIT, *family], dict[str, bytes]()
    while waiting:
        path = waiting.pop(0)
        if path not in found:
            found[path] = (folder / path).read_bytes()
            waiting += (one["path"] for one in _NEEDED.finditer(found[path].decode()))
    return found


def _closure(file: FileDescriptor) -> Iterator[FileDescriptorProto]:
    for one in file.dependencies:
        yield from _closure(one)
    yield FileDescriptorProto.FromString(file.serialized_pb)


def _add(
    name: str, known: dict[str, FileDescriptorProto], found: dict[str, FileDescriptorProto]
) -> None:
    if name in found:
        return
    for one in known[name].dependency:
        _add(one, known, found)
    found[name] = known[name]


def _python(root: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join((str(root), *sys.path)), "PATH": os.defpath}


def _own(sources: Path) -> Iterable[Path]:
    """Files of the checkout, without what a developer's own npm made there."""
    for path in sorted(sources.rglob("*")):
        if path.is_file() and path.relative_to(sources).parts[0] not in _MADE_HERE:
            yield path


def _digest(root: Path) -> str:
    """Of the sources and of the contracts as they are written: what is there is found at once."""
    whole = hashlib.sha256()
    sources = {str(path.relative_to(root)): path.read_bytes() for path in _own(root / SOURCES)}
    carried = {one.name: one.serialized_pb for one in _CARRIED}
    for name, content in {**sources, **_texts(root), **carried}.items():
        whole.update(f"{name} {len(content)}\n".encode() + content)
    return whole.hexdigest()[:16]


def _forget_old(folder: Path) -> None:
    homes = sorted(folder.glob("node-*"), key=lambda home: home.stat().st_mtime)
    for home in homes[:-_KEPT_MAX]:
        if home.is_dir():
            shutil.rmtree(home)
