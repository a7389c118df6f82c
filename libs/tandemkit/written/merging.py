"""YAML's merge keys (`<<: *defaults`), resolved before anybody reads the nodes."""

from __future__ import annotations

from collections.abc import Callable

import yaml

_MERGE = "tag:yaml.org,2002:merge"
Objection = Callable[[yaml.Mark, str], None]


def resolve(root: yaml.Node, object_to: Objection) -> None:
    """Changes the mappings in place. What a mapping says itself counts before what it merges, and
    of two that it merges the first.
    """
    _Resolver(object_to).visit(root)


class _Resolver:
    def __init__(self, object_to: Objection) -> None:
        self._object_to = object_to
        self._entered: set[int] = set()
        self._open: set[int] = set()

    def visit(self, node: yaml.Node) -> None:
        # An anchored node is one object wherever an alias names it, and may stand in itself.
        if id(node) in self._entered:
            return
        self._entered.add(id(node))
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            self._merge(node)
            for _, value in node.value:
                self.visit(value)
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self.visit(item)
        self._open.discard(id(node))

    def _merge(self, node: yaml.MappingNode) -> None:
        merged = [value for key, value in node.value if key.tag == _MERGE]
        node.value = [pair for pair in node.value if pair[0].tag != _MERGE]
        taken = {str(key.value) for key, _ in node.value}
        for value in merged:
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                for key, inner in self._pairs_of(source):
                    if str(key.value) not in taken:
                        taken.add(str(key.value))
                        node.value.append((key, inner))

    def _pairs_of(self, source: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
        if not isinstance(source, yaml.MappingNode):
            self._object_to(source.start_mark, "`<<` merges mappings, and this is none")
            return []
        if id(source) in self._open:
            self._object_to(source.start_mark, "a mapping merges itself")
            return []
        self.visit(source)
        return list(source.value)
