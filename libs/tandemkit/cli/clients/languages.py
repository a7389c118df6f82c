"""What differs between the languages: names, files beside the contracts, and how one builds."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from google.rpc import code_pb2

from tandemkit.cli.clients import go_stubs
from tandemkit.cli.clients.contracts import Contracts
from tandemkit.cli.clients.sample import Sample
from tandemkit.cli.clients.templates import filled
from tandemkit.cli.steps import Steps
from tandemkit.core.environment import Environment

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PACKAGE_LINE = re.compile(r"^package [^;]+;\n", re.MULTILINE)
# What a failed call's details are written in; npm has no small package of it.
_GOOGLE = ("code", "error_details", "status")


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for: `name` is the package's own."""

    name: str
    version: str
    contracts: Contracts
    sample: Sample


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where and by what a package is made."""

    environment: Environment
    scratch: Path
    steps: Steps


Files = dict[str, bytes]
Make = Callable[[Order, Workplace], Awaitable[Files]]


@dataclass(frozen=True, slots=True)
class Language:
    """`name_form` is what its package tool accepts; `try_it` builds and runs the example."""

    default_name: str
    name_form: str
    make: Make
    try_it: str


async def _go(order: Order, workplace: Workplace) -> Files:
    sample = order.sample
    special = {
        "folder": sample.package.replace(".", "/"),
        "method": sample.method,
        "fields": 'Text: "hello"' if sample.has_text else "",
    }
    stubs = await go_stubs.generate(
        order.contracts, order.name, workplace.environment, workplace.scratch, workplace.steps
    )
    return {**filled("go", _values(order, special)), **stubs}


async def _node(order: Order, _workplace: Workplace) -> Files:
    sample = order.sample
    special = {
        "full_service": f"{sample.package}.{sample.service}",
        "method": _lower(sample.method),
        "fields": ' text: "hello" ' if sample.has_text else "",
    }
    protos = {**order.contracts.texts, **_google_protos()}
    lines = "".join(f'import "{path}";\n' for path in sorted(protos))
    protos["index.proto"] = f'syntax = "proto3";\n\n{lines}'
    shipped = {f"protos/{path}": text.encode() for path, text in protos.items()}
    return {**filled("node", _values(order, special)), **shipped}


async def _java(order: Order, _workplace: Workplace) -> Files:
    sample = order.sample
    special = {
        "package": sample.package,
        "method": _lower(sample.method),
        "fields": '.setText("hello")' if sample.has_text else "",
    }
    shipped = {
        f"src/main/proto/{path}": _one_class_a_file(path, text).encode()
        for path, text in order.contracts.texts.items()
    }
    return {**filled("java", _values(order, special)), **shipped}


async def _rust(order: Order, _workplace: Workplace) -> Files:
    sample = order.sample
    module = f"{_snake(sample.service)}_client::{sample.service}Client"
    special = {
        "crate": order.name.replace("-", "_"),
        "path": sample.package.removeprefix("tandem.").replace(".", "::"),
        "client_path": module,
        "client": f"{sample.service}Client",
        "method": _snake(sample.method),
        "fields": 'text: "hello".into()' if sample.has_text else "..Default::default()",
    }
    compiled = order.contracts.compiled.SerializeToString(deterministic=True)
    return {**filled("rust", _values(order, special)), "contracts.binpb": compiled}


LANGUAGES = {
    "go": Language("tandem.internal/client", r"[A-Za-z0-9._~/-]+", _go, "go run ./example"),
    "node": Language(
        "tandem-client",
        r"(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*",
        _node,
        "npm install && npm run build && node example.js",
    ),
    "java": Language(
        "tandem-client",
        r"[A-Za-z0-9][A-Za-z0-9._-]*",
        _java,
        "mvn --batch-mode package && java -cp 'target/classes:target/lib/*' tandem.Example",
    ),
    "rust": Language(
        "tandem-client", r"[a-z][a-z0-9_-]*", _rust, "cargo run --example call HOST:PORT"
    ),
}


def _values(order: Order, special: dict[str, str]) -> dict[str, str]:
    sample = order.sample
    common = {
        "name": order.name,
        "version": order.version,
        "service": sample.service,
        "request": sample.request,
        "agents": "\n".join(f"- `{service}`" for service in order.contracts.services),
    }
    return {**common, **special}


def _one_class_a_file(path: str, proto: str) -> str:
    """Java's compiler would otherwise put all messages of a file into one class; and name what is
    left of the file as a message of another one may be named.
    """
    words = Path(path).stem.split("_")
    outer = "".join(word.capitalize() for word in words) + "ProtoFile"
    option = "\noption java_multiple_files = true;\n"
    option += f'option java_outer_classname = "{outer}";\n'
    return _PACKAGE_LINE.sub(lambda line: line[0] + option, proto, count=1)


def _google_protos() -> dict[str, str]:
    folder = Path(code_pb2.__file__).parent
    return {
        f"google/rpc/{name}.proto": (folder / f"{name}.proto").read_text("utf-8")
        for name in _GOOGLE
    }


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _snake(name: str) -> str:
    return _WORD.sub("_", name).lower()
