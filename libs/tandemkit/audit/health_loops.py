"""Loops that look after somebody's health by hand: the kit does that once, for everybody."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tandemkit.audit.syntax import Module

_OF_HEALTH = re.compile(
    r"health|heart_?beat|liveness|keep_?alive|watch_?dog|(^|_)(ping|alive)(_|s?$)", re.IGNORECASE
)
# What paces a loop: `time.sleep`, `stop.wait(30)`, `asyncio.sleep`.
_PACES = frozenset({"sleep", "wait", "wait_for", "tick"})
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def loops(module: Module) -> Iterator[tuple[int, str]]:
    """Line and function of each endless, paced loop that is about health: by the function's own
    name, or by what is called in the loop.
    """
    for function in module.functions:
        for loop in _own(function):
            if _is_endless(loop) and _is_paced(loop) and _is_of_health(function, loop):
                yield loop.lineno, function.name


def _own(function: _Function) -> Iterator[ast.While]:
    """Its `while` loops, without those of functions inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.While):
            yield node
        waiting.extend(ast.iter_child_nodes(node))


def _is_endless(loop: ast.While) -> bool:
    """`while True`, `while self._running`, `while not stop.is_set()`: no bound of its own."""
    return not any(isinstance(node, ast.Compare) for node in ast.walk(loop.test))


def _is_paced(loop: ast.While) -> bool:
    # `while not stop.wait(30)` paces in its condition.
    return any(name in _PACES for name in _called(loop))


def _is_of_health(function: _Function, loop: ast.While) -> bool:
    return any(_OF_HEALTH.search(_words(name)) for name in (function.name, *_called(loop)))


def _words(name: str) -> str:
    return _WORDS.sub("_", name).lower()


def _called(loop: ast.While) -> Iterator[str]:
    for node in ast.walk(loop):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield node.func.attr
            elif isinstance(node.func, ast.Name):
                yield node.func.id
