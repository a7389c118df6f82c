"""The contracts that a client package carries: those of the agents that were asked for."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from buf.validate import validate_pb2
from tandem.options.v1 import options_pb2
from tandemkit.cli.clients.stripping import without_rules
from tandemkit.cli.output import Refusal
from tandemkit.cli.steps import Step, Steps
from tandemkit.core.names import OF_OTHERS, AgentName

RULES = "buf/validate/validate.proto"
# Settings are between an agent and who runs it, and the platform's own reasons are everybody's.
_SETTINGS = "config"
_PLATFORM = "tandem/type/v1/platform_error.proto"
_REASONS = "errors.proto"


@dataclass(frozen=True, slots=True)
class Contracts:
    """Texts by path, as a package ships them, and the same compiled, with all that they import."""

    texts: dict[str, str]
    compiled: FileDescriptorSet

    @property
    def paths(self) -> list[str]:
        """Of the package's own files, without what others carry."""
        return sorted(self.texts)

    @property
    def services(self) -> list[str]:
        """Full names."""
        return [name for file in self.own() for name in services_of(file)]

    def own(self) -> list[FileDescriptorProto]:
        return [file for file in self.compiled.file if file.name in self.texts]


def _is_plumbing(file: FileDescriptorProto) -> bool:
    """Whether the kit answers it on every host, for its own use: no client has a channel to it."""
    said: list[Any] = [service.options for service in file.service]
    return any(one.Extensions[options_pb2.plumbing] for one in said)


def services_of(file: FileDescriptorProto) -> list[str]:
    return [f"{file.package}.{service.name}" for service in file.service]


async def read(root: Path, scratch: Path, wanted: Sequence[str], steps: Steps) -> Contracts:
    """The contracts of `wanted`, or of all agents, as clients get them."""
    image = scratch / "image.binpb"
    await _python(steps, "reading the contracts", root, "tools.stubs", f"--descriptor-set={image}")
    whole = FileDescriptorSet.FromString(image.read_bytes())
    paths = chosen(whole.file, wanted)
    texts = {path: without_rules((root / "protos" / path).read_text("utf-8")) for path in paths}
    compiled = await _compiled(texts, whole, scratch, steps)
    _prove_same(compiled, whole, paths)
    return Contracts(texts, compiled)


def chosen(files: Iterable[FileDescriptorProto], wanted: Sequence[str]) -> list[str]:
    """Files of the services that are named, by full or short name, with reasons and imports."""
    known = {file.name: file for file in files}
    public = {
        path: file
        for path, file in known.items()
        if path.startswith("tandem/") and _SETTINGS not in PurePosixPath(path).parts
    }
    of_service = {
        name: path
        for path, file in public.items()
        if not _is_plumbing(file)
        for name in services_of(file)
    }
    roots = {of_service[_full(name, list(of_service))] for name in wanted or of_service}
    reasons = {str(PurePosixPath(path).with_name(_REASONS)) for path in roots}
    found: set[str] = set()
    waiting = [*roots, *(reasons & public.keys()), *({_PLATFORM} & public.keys())]
    while waiting:
        path = waiting.pop()
        if path in public and path not in found:
            found.add(path)
            waiting.extend(public[path].dependency)
    return sorted(found)


def _full(name: str, services: list[str]) -> str:
    by_short = {AgentName.of(service).short: service for service in services}
    if name in services:
        return name
    if name in by_short:
        return by_short[name]
    if name in {*OF_OTHERS, *(AgentName.of(service).short for service in OF_OTHERS)}:
        raise Refusal(f"{name} speaks a protocol of others, for which there are clients of theirs.")
    near = difflib.get_close_matches(name, [*by_short, *services], n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; there are {', '.join(by_short)}."
    raise Refusal(f"no agent is called {name!r}{hint}")


async def _compiled(
    texts: dict[str, str], whole: FileDescriptorSet, scratch: Path, steps: Steps
) -> FileDescriptorSet:
    sources, known, out = scratch / "protos", scratch / "google.binpb", scratch / "client.binpb"
    for path, text in texts.items():
        (sources / path).parent.mkdir(parents=True, exist_ok=True)
        (sources / path).write_text(text, "utf-8")
    foreign = FileDescriptorSet(file=[f for f in whole.file if f.name.startswith("google/")])
    known.write_bytes(foreign.SerializeToString())
    outputs = (f"--descriptor_set_out={out}", "--include_imports", "--include_source_info")
    inputs = (f"-I{sources}", f"--descriptor_set_in={known}")
    await _python(
        steps, "compiling them", scratch, "grpc_tools.protoc", *inputs, *outputs, *sorted(texts)
    )
    return FileDescriptorSet.FromString(out.read_bytes())


async def _python(steps: Steps, title: str, root: Path, module: str, *arguments: str) -> None:
    path = os.pathsep.join((str(root), *sys.path))
    variables = {"PYTHONPATH": path, "PATH": os.defpath}
    argv = (sys.executable, "-P", "-m", module, *arguments)
    await steps.run(Step(title, argv, variables, root))


def _prove_same(compiled: FileDescriptorSet, whole: FileDescriptorSet, paths: list[str]) -> None:
    """What a client compiles is the contract, rules aside; else the stripping is at fault."""
    clients = {file.name: file for file in compiled.file}
    ours = {file.name: file for file in whole.file}
    for path in paths:
        if _bare(clients[path]) != _bare(ours[path]):
            raise Refusal(f"{path} would reach clients changed; this is a fault of this command.")


def _bare(file: FileDescriptorProto) -> bytes:
    """The file as bytes, without rules and without where it stands in its text."""
    copy = FileDescriptorProto.FromString(file.SerializeToString())
    copy.ClearField("source_code_info")
    imports = [path for path in copy.dependency if path != RULES]
    copy.ClearField("dependency")
    copy.dependency.extend(imports)
    for message in copy.message_type:
        _clear_rules(message)
    return copy.SerializeToString(deterministic=True)


def _clear_rules(message: DescriptorProto) -> None:
    _clear(message, validate_pb2.message)
    for field in message.field:
        _clear(field, validate_pb2.field)
    for oneof in message.oneof_decl:
        _clear(oneof, validate_pb2.oneof)
    for nested in message.nested_type:
        _clear_rules(nested)


def _clear(declared: Any, rules: Any) -> None:
    declared.options.ClearExtension(rules)
    if not declared.options.ByteSize():
        declared.ClearField("options")
