"""The agents of a tree, read from their sources: a broken one is a finding, not an ImportError."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tandemkit.audit.syntax import Module
from tandemkit.core.names import FAMILY_OF_OTHERS, AgentName
from tools.rules.tree import Tree

# Packages of contracts: ours, and those of others' protocols.
_PACKAGES = "|".join((r"tandem\.[a-z0-9_]+\.v[0-9]+", *map(re.escape, FAMILY_OF_OTHERS)))
_CONTRACT = re.compile(r"protos/[a-z0-9_/]+_service\.proto")
_PACKAGE = re.compile(r"^package\s+([\w.]+);", re.MULTILINE)
_SERVICE = re.compile(r"^service\s+(\w+)", re.MULTILINE)
_PLUMBING = re.compile(r"^\s*option \(tandem\.options\.v1\.plumbing\) = true;", re.MULTILINE)
_STUB = re.compile(rf"(?P<stem>({_PACKAGES})\.[a-z0-9_]+_service)_pb2(_grpc)?(\.|$)")


@dataclass(frozen=True, slots=True)
class Declaration:
    """One `AGENT = Agent(...)`.

    A contract is named by the stem of its file: `tandem/text/v1/embed_service`.
    """

    module: Module
    line: int
    contract: str
    # Full name of the settings message, or empty.
    settings: str
    calls: tuple[str, ...]
    soft_calls: tuple[str, ...]
    # `RUNTIME_GO`, or empty for Python.
    runtime: str

    @property
    def package(self) -> tuple[str, ...]:
        """The paths that are this agent's alone: a module, or a folder with agent.py in it."""
        folder, _, name = self.module.path.rpartition("/")
        return (f"{folder}/",) if name == "agent.py" else (self.module.path,)


def contracts(tree: Tree) -> Iterator[tuple[str, AgentName]]:
    """The path of each agent's contract, with the names that follow from its service."""
    return _contracts(tree, plumbing=False)


def plumbing(tree: Tree) -> Iterator[tuple[str, AgentName]]:
    """The same of what the kit itself answers on every host, as its contract says: no agent."""
    return _contracts(tree, plumbing=True)


def _contracts(tree: Tree, *, plumbing: bool) -> Iterator[tuple[str, AgentName]]:
    for path, text in tree.files.items():
        package, service = _PACKAGE.search(text), _SERVICE.search(text)
        if not (_CONTRACT.fullmatch(path) and package and service):
            continue
        if bool(_PLUMBING.search(text)) is plumbing:
            try:
                yield path, AgentName.of(f"{package[1]}.{service[1]}")
            except ValueError:
                # buf's rules and the contract rule say what is wrong with such a name.
                continue


def declarations(tree: Tree) -> Iterator[Declaration]:
    """Every agent that a module of services/ declares."""
    for module in tree.modules_under("services/"):
        for call in module.of(ast.Call):
            if module.qualified(call.func) == "tandemkit.hosting.agent.Agent":
                yield _declaration(module, call)


def stubs(module: Module) -> dict[str, int]:
    """Stems of the service contracts whose stubs a module imports, each with the line."""
    found: dict[str, int] = {}
    for item in module.imports:
        stem = _stem(item.origin)
        if stem:
            found.setdefault(stem, item.line)
    return found


def _declaration(module: Module, call: ast.Call) -> Declaration:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    settings = module.qualified(given["settings"]) if "settings" in given else ""
    return Declaration(
        module=module,
        line=call.lineno,
        contract=_stem(module.qualified(given["contract"])) if "contract" in given else "",
        settings=_message(settings),
        calls=_stems(module, given.get("calls")),
        soft_calls=_stems(module, given.get("soft_calls")),
        runtime=module.qualified(given["runtime"]).rpartition(".")[2] if "runtime" in given else "",
    )


def _stems(module: Module, listed: ast.expr | None) -> tuple[str, ...]:
    items = listed.elts if isinstance(listed, ast.Tuple | ast.List) else []
    return tuple(_stem(module.qualified(item)) or ast.unparse(item) for item in items)


def _stem(origin: str) -> str:
    found = _STUB.match(origin)
    return found["stem"].replace(".", "/") if found else ""


def _message(origin: str) -> str:
    """`tandem.text.config.v1.summarize_pb2.SummarizeSettings` without the module in it."""
    return ".".join(part for part in origin.split(".") if not part.endswith("_pb2"))
