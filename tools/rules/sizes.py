"""How large files, classes and functions are, against the limits of the house style."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tandemkit.audit.syntax import Module
from tools.rules.tree import Tree

LINES_OF_FUNCTION_MAX = 70
LINES_OF_CLASS_MAX = 150
LINES_OF_FILE_MAX = 300
PARAMETERS_MAX = 5

_MEASURED_FILES = (".py", ".pyi", ".proto", ".sh", ".yaml", "/BUILD")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing with its size. `subject` has no line number: it survives an edit above it."""

    path: str
    line: int
    subject: str
    size: int
    size_max: int


def measure(tree: Tree) -> Iterator[Measure]:
    """Everything that exceeds its limit."""
    for candidate in _all(tree):
        if candidate.size > candidate.size_max:
            yield candidate


def _all(tree: Tree) -> Iterator[Measure]:
    for path, text in tree.files.items():
        if f"/{path}".endswith(_MEASURED_FILES):
            yield Measure(path, 1, "file", _lines(path, text), LINES_OF_FILE_MAX)
    for module in tree.modules:
        for name, node in _definitions(module.tree, ""):
            if isinstance(node, ast.ClassDef):
                subject, size_max = f"class {name}", LINES_OF_CLASS_MAX
            else:
                subject, size_max = f"function {name}", LINES_OF_FUNCTION_MAX
                yield _parameters(module, name, node)
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield Measure(module.path, node.lineno, subject, lines, size_max)


def _lines(path: str, text: str) -> int:
    """Every element of a contract must have a comment, so there comments do not count."""
    lines = text.splitlines()
    if path.endswith(".proto"):
        lines = [line for line in lines if line.strip() and not line.lstrip().startswith("//")]
    return len(lines)


def _definitions(parent: ast.AST, prefix: str) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, Function | ast.ClassDef):
            name = f"{prefix}{node.name}"
            yield name, node
            yield from _definitions(node, f"{name}.")
        elif not isinstance(node, ast.expr):
            yield from _definitions(node, prefix)


def _parameters(module: Module, name: str, node: Function) -> Measure:
    named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    is_bound = bool(named) and named[0].arg in {"self", "cls"}
    # A test's parameters are fixtures: it asks for what it needs, and nobody calls it.
    is_test = module.path.startswith("tests/") and _is_asked_by_pytest(node)
    count = 0 if is_test else len(named) - is_bound
    subject = f"parameters of {name}"
    return Measure(module.path, node.lineno, subject, count, PARAMETERS_MAX)


def _is_asked_by_pytest(node: Function) -> bool:
    decorators = " ".join(ast.dump(decorator) for decorator in node.decorator_list)
    return node.name.startswith("test_") or "'fixture'" in decorators
