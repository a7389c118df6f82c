"""Words: names that say nothing, docstrings that must be there, notes that may not stay."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tandemkit.audit.finding import Finding
from tandemkit.audit.syntax import Module
from tools.rules.descriptors import Contracts
from tools.rules.tree import Tree

_BANNED = frozenset(
    {"base", "common", "data", "handler", "handlers", "helper", "helpers", "impl", "info"}
    | {"manager", "managers", "misc", "util", "utils"}
)
# Where such a word is the end of what everybody calls so.
_CONCEPTS = frozenset({"knowledge base"})
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+")
_DOCSTRING_LINES_MAX = 5
_EXPLAINED = ("libs/", "services/", "tools/")
_COMMENTED = (
    ".py",
    ".pyi",
    ".proto",
    ".sh",
    ".yaml",
    ".toml",
    ".mod",
    "/BUILD",
    ".js",
    ".ts",
    ".go",
)
_MARK = re.compile(r"(?:#|//|--|\*).*?\b(?P<mark>TODO|FIXME|XXX|HACK)\b(?P<rest>\(#[0-9]+\))?")


def names(tree: Tree) -> Iterator[Finding]:
    """Classes and modules are called after a concept."""
    for module in tree.modules:
        for part in PurePosixPath(module.path).with_suffix("").parts:
            yield from _named(module.path, 1, "module", part)
        for definition in module.of(ast.ClassDef):
            yield from _named(module.path, definition.lineno, "class", definition.name)


def names_in_contracts(contracts: Contracts) -> Iterator[Finding]:
    """So are messages and services, whose names callers in every language will read."""
    named = [
        *((element, "message") for element, _ in contracts.messages()),
        *((element, "service") for element, _ in contracts.services()),
        *((element, "enum") for element, _ in contracts.enums()),
    ]
    for element, kind in named:
        for found in _named("", 0, kind, element.name.rsplit(".", 1)[-1]):
            yield contracts.finding(element, found.rule, found.message)


def _named(path: str, line: int, kind: str, name: str) -> Iterator[Finding]:
    before = ""
    for word in _WORD.findall(name):
        concept, before = f"{before} {word.lower()}", word.lower()
        if word.lower() in _BANNED and concept not in _CONCEPTS:
            message = f"{kind} `{name}`: `{word}` says nothing; name the concept"
            yield Finding(path, line, "name", message)


def module_docstrings(tree: Tree) -> Iterator[Finding]:
    """A module says in a few lines why it exists; of a test module its tests say it."""
    for module in tree.modules:
        text = ast.get_docstring(module.tree) or ""
        lines = len(text.splitlines())
        if not lines and module.tree.body and module.path.startswith(_EXPLAINED):
            yield Finding(module.path, 1, "docstring", "a module says why it exists")
        elif lines > _DOCSTRING_LINES_MAX:
            message = f"{lines} lines; beyond {_DOCSTRING_LINES_MAX} it belongs into docs/design"
            yield Finding(module.path, 1, "docstring", message)


def test_docstrings(tree: Tree) -> Iterator[Finding]:
    """A test states its promise in one sentence."""
    for module in tree.modules_under("tests/"):
        for function in module.functions:
            if function.name.startswith("test_") and not _is_one_sentence(function):
                message = f"`{function.name}` states its promise in a docstring of one sentence"
                yield Finding(module.path, function.lineno, "docstring", message)


def _is_one_sentence(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    text = ast.get_docstring(function) or ""
    ends = re.findall(r"[.!?](?=\s+[A-Z`]|$)", " ".join(text.split()))
    return len(ends) == 1 and "\n\n" not in text


def marks(tree: Tree) -> Iterator[Finding]:
    """`TODO(#123)` has somebody who will do it; anything less is forgotten."""
    for path, line, comment in _comments(tree):
        found = _MARK.search(comment)
        if found and (found["mark"] != "TODO" or not found["rest"]):
            message = f"`{found['mark']}` without an issue; only TODO(#123) may stay"
            yield Finding(path, line, "mark", message)


def _comments(tree: Tree) -> Iterator[tuple[str, int, str]]:
    modules: dict[str, Module] = {module.path: module for module in tree.modules}
    for path, text in tree.files.items():
        if not f"/{path}".endswith(_COMMENTED) or not _MARK.search(text):
            continue
        pairs = modules[path].comments if path in modules else tree.lines(path)
        for line, comment in pairs:
            yield path, line, comment
