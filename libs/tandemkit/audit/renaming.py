"""Imports pointed at another module: of the text, only the names that change are touched."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tandemkit.audit.syntax import Module


@dataclass(frozen=True, slots=True)
class Edit:
    """Characters of one line that become others. Columns count bytes, as Python's parser does."""

    line: int
    begin: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Left:
    """An import that the new name cannot be put into by itself."""

    line: int
    why: str


class Renaming:
    """Of modules: `{"common.pools.zmq_pool": "tandemkit.rpc.channel"}`. What stands below a module
    moves with it.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        # The longest name first: it says more.
        self._names = dict(sorted(names.items(), key=lambda pair: -len(pair[0])))

    def applied(self, module: Module) -> tuple[str, tuple[Left, ...]]:
        """The text afterwards, and what somebody has to look at."""
        left: list[Left] = []
        edits = [*self._of_imports(module, left), *self._of_uses(module)]
        return _edited(module.text, edits), tuple(left)

    def _renamed(self, name: str) -> str:
        for old, new in self._names.items():
            if f"{name}.".startswith(f"{old}."):
                return new + name[len(old) :]
        return name

    def _of_imports(self, module: Module, left: list[Left]) -> Iterator[Edit]:
        for plain in module.of(ast.Import):
            for name in plain.names:
                yield from _edit(module, name, name.name, self._renamed(name.name))
        for sourced in module.of(ast.ImportFrom):
            yield from self._of_sourced(module, sourced, left)

    def _of_sourced(self, module: Module, node: ast.ImportFrom, left: list[Left]) -> Iterator[Edit]:
        """Each name may be a module itself, and so move by itself."""
        package = module.absolute(node)
        new = {one.name: self._renamed(f"{package}.{one.name}") for one in node.names}
        moved = [name for name, said in new.items() if said != f"{package}.{name}"]
        parents = {said.rpartition(".")[0] for said in new.values()}
        if moved and node.level:
            left.append(Left(node.lineno, f"imports `{package}` by a relative name"))
        elif moved and len(parents) > 1:
            left.append(Left(node.lineno, f"imports {', '.join(moved)} beside others"))
        elif moved:
            yield from _edit(module, node, package, parents.pop(), after="from")
            for one in node.names:
                said = new[one.name].rpartition(".")[2]
                kept = said if one.asname or said == one.name else f"{said} as {one.name}"
                yield from _edit(module, one, one.name, kept)

    def _of_uses(self, module: Module) -> Iterator[Edit]:
        """`common.pools.zmq_pool.Pool()`, after an import that binds `common` alone."""
        bound = {
            name.name
            for plain in module.of(ast.Import)
            for name in plain.names
            if not name.asname and self._renamed(name.name) != name.name
        }
        for node in module.of(ast.Attribute, ast.Name):
            dotted = _dotted(node)
            if dotted in bound:
                yield from _edit(module, node, dotted, self._renamed(dotted))


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value)
        return f"{owner}.{node.attr}" if owner else ""
    return node.id if isinstance(node, ast.Name) else ""


def _edit(
    module: Module, node: ast.stmt | ast.expr | ast.alias, old: str, new: str, after: str = ""
) -> Iterator[Edit]:
    """Where the name stands as one word; a name that is broken over lines is left as it is."""
    if old == new:
        return
    line = _lines(module.text)[node.lineno - 1].encode()
    begin = node.col_offset + len(after)
    at = line.find(old.encode(), begin)
    if at >= 0:
        yield Edit(node.lineno, at, at + len(old.encode()), new)


def _lines(text: str) -> list[str]:
    """As Python's parser counts them: a form feed, say, ends none."""
    return io.StringIO(text, newline="").readlines()


def _edited(text: str, edits: Iterable[Edit]) -> str:
    lines = [line.encode() for line in _lines(text)]
    # From the end, so that earlier columns hold.
    for edit in sorted(set(edits), key=lambda one: (one.line, one.begin), reverse=True):
        line = lines[edit.line - 1]
        lines[edit.line - 1] = line[: edit.begin] + edit.text.encode() + line[edit.end :]
    return b"".join(lines).decode()
