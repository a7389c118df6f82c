"""JSON Pointer (RFC 6901), JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from services.utility.toolbox.document.values import (
    Budget,
    Value,
    children,
    depth_of,
    equal,
    node_count,
)
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)

Path = tuple[str, ...]


class Step(Enum):
    """What an operation does, numbered as in the contract."""

    ADD = 1
    REMOVE = 2
    REPLACE = 3
    MOVE = 4
    COPY = 5
    TEST = 6


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `source` is for move and copy, `value` for add, replace and test."""

    step: Step
    path: Path
    source: Path = ()
    value: Value = None


class _Misfit(Exception):
    """The operation does not fit the document."""


def pointer_path(pointer: str) -> Path:
    """The tokens of a pointer whose form the contract has checked."""
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def pointer(path: Iterable[object]) -> str:
    """The pointer to a path of member names and indices."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in path)


def apply(
    document: Value, operations: Iterable[Operation], budget: Budget, depth_max: int
) -> Value:
    """Applies all operations, or raises PATCH_REFUSED with the index of the one that did not fit.

    The document is changed in place: it was parsed for this call, and nobody sees half a result.
    """
    target = _Target(document, budget, depth_max)
    for index, operation in enumerate(operations):
        try:
            target.apply(operation)
        except _Misfit as misfit:
            raise CallerError(
                errors.ERROR_REASON_PATCH_REFUSED,
                "an operation does not fit the document",
                operation=index,
                explanation=misfit,
            ) from misfit
    return target.document


def merge(document: Value, patch: Value) -> Value:
    """RFC 7386: null removes a member, an object merges, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for name, change in patch.items():
        if change is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), change)
    return merged


class _Target:
    """A document under change. Every value put in is a copy, so no two places share one."""

    def __init__(self, document: Value, budget: Budget, depth_max: int) -> None:
        self.document = document
        self._budget, self._depth_max = budget, depth_max

    def apply(self, operation: Operation) -> None:
        path = operation.path
        self._budget.spend(1 + len(path) + len(operation.source))
        match operation.step:
            case Step.ADD:
                self._add(path, self._copied(operation.value))
            case Step.REMOVE:
                self._remove(path)
            case Step.REPLACE:
                self._replace(path, self._copied(operation.value))
            case Step.COPY:
                self._add(path, self._copied(self._find(operation.source)))
            case Step.MOVE:
                self._move(operation.source, path)
            case Step.TEST:
                self._test(path, operation.value)

    def _move(self, source: Path, path: Path) -> None:
        if path[: len(source)] == source and path != source:
            raise _Misfit("a value cannot move into itself")
        value = self._find(source)
        if path == source:
            return
        self._remove(source)
        self._add(path, value)

    def _test(self, path: Path, value: Value) -> None:
        self._budget.spend(node_count(value))
        if not equal(self._find(path), value):
            raise _Misfit("the value differs from the one tested for")

    def _add(self, path: Path, value: Value) -> None:
        self._check_depth(path, value)
        if not path:
            self.document = value
            return
        match self._find(path[:-1]):
            case dict() as parent:
                parent[path[-1]] = value
            case list() as parent:
                # Inserting moves all that follows.
                self._budget.spend(1 + len(parent) // 64)
                parent.insert(_index(path[-1], len(parent) + 1, end=len(parent)), value)
            case _:
                raise _Misfit("the parent is neither an object nor an array")

    def _replace(self, path: Path, value: Value) -> None:
        self._find(path)
        self._check_depth(path, value)
        if not path:
            self.document = value
            return
        match self._find(path[:-1]):
            case dict() as parent:
                parent[path[-1]] = value
            case list() as parent:
                parent[_index(path[-1], len(parent))] = value

    def _remove(self, path: Path) -> None:
        self._find(path)
        if not path:
            self.document = None
            return
        match self._find(path[:-1]):
            case dict() as parent:
                del parent[path[-1]]
            case list() as parent:
                self._budget.spend(1 + len(parent) // 64)
                del parent[_index(path[-1], len(parent))]

    def _find(self, path: Path) -> Value:
        value = self.document
        for token in path:
            match value:
                case dict():
                    if token not in value:
                        raise _Misfit("there is no such member")
                    value = value[token]
                case list():
                    value = value[_index(token, len(value))]
                case _:
                    raise _Misfit("the path goes through a scalar")
        return value

    def _copied(self, value: Value) -> Value:
        """A copy costs what its text will: a long string copied often makes a huge document."""
        self._budget.spend()
        match value:
            case str():
                self._budget.spend(len(value) // 64)
            case dict():
                self._budget.spend(sum(map(len, value)) // 64)
                return {name: self._copied(item) for name, item in value.items()}
            case list():
                return [self._copied(item) for item in value]
        return value

    def _check_depth(self, path: Path, value: Value) -> None:
        if any(True for _ in children(value)):
            self._budget.spend(node_count(value))
        if len(path) + depth_of(value) > self._depth_max:
            raise CallerError(
                errors.ERROR_REASON_TOO_LARGE,
                "the patched document is nested too deeply",
                depth_max=self._depth_max,
            )


def _index(name: str, length: int, *, end: int | None = None) -> int:
    if name == "-" and end is not None:
        return end
    if _INDEX.fullmatch(name) is None or int(name) >= length:
        raise _Misfit("there is no such index")
    return int(name)
