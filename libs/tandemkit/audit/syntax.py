"""Python sources as the rules see them: parsed and walked once, names resolved by the imports."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar, cast

Node = TypeVar("Node", bound=ast.AST)


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name: `origin` is the dotted thing, `alias` what the module calls it."""

    origin: str
    alias: str
    line: int


class Module:
    """One Python file, named by its path below its source root."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    @cached_property
    def name(self) -> str:
        path = self.path.removeprefix("libs/").removesuffix(".py").removesuffix("/__init__")
        return path.replace("/", ".")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def _nodes(self) -> dict[type[ast.AST], list[ast.AST]]:
        by_type: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
        for node in ast.walk(self.tree):
            by_type[type(node)].append(node)
        return by_type

    def of(self, *kinds: type[Node]) -> Iterator[Node]:
        """Every node of exactly these types, anywhere in the file."""
        for kind in kinds:
            yield from cast("list[Node]", self._nodes.get(kind, []))

    @cached_property
    def functions(self) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
        return (*self.of(ast.FunctionDef), *self.of(ast.AsyncFunctionDef))

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        found = []
        for plain in self.of(ast.Import):
            for name in plain.names:
                alias = name.asname or name.name.split(".")[0]
                origin = name.name if name.asname else alias
                found.append(Import(origin, alias, plain.lineno))
                if origin != name.name:
                    found.append(Import(name.name, "", plain.lineno))
        for sourced in self.of(ast.ImportFrom):
            package = self.absolute(sourced)
            for name in sourced.names:
                origin = f"{package}.{name.name}"
                alias = name.asname or name.name
                found.append(Import(origin, alias, sourced.lineno))
        return tuple(found)

    def absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        above = node.level - (1 if self.path.endswith("/__init__.py") else 0)
        kept = parts[: len(parts) - above]
        return ".".join([*kept, *([node.module] if node.module else [])])

    @cached_property
    def aliases(self) -> dict[str, str]:
        return {item.alias: item.origin for item in self.imports if item.alias}

    def qualified(self, node: ast.AST) -> str:
        """`a.b.c` with its first name as it was imported; empty for what is no dotted name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        parts.append(self.aliases.get(node.id, node.id))
        return ".".join(reversed(parts))

    @cached_property
    def comments(self) -> tuple[tuple[int, str], ...]:
        """Each comment with its line. Tokenizing is slow: ask where the text makes it likely."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return tuple(
            (token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT
        )
