"""The committed list of what exceeds a limit today. It may shrink and never grow."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tandemkit.audit.finding import Finding
from tools.rules import sizes, suppressions
from tools.rules.tree import Tree

RULE = "ratchet"
PATH = "tests/repo/ratchet.toml"

_HEADER = """\
# What exceeds a limit of the house style today, and how many comments silence a tool.
# Every number may only fall; `python -m tools.rules --tighten` lowers what has become smaller.
"""


@dataclass(frozen=True, slots=True)
class Ratchet:
    """Sizes by `path: subject`, and numbers of suppressions by kind."""

    excess: Mapping[str, int] = field(default_factory=dict)
    suppressions: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, tree: Tree) -> Ratchet:
        """What is allowed today: the committed file of the tree."""
        read = tomllib.loads(tree.files.get(PATH, ""))
        return cls(read.get("excess", {}), read.get("suppressions", {}))

    def tightened(self, tree: Tree) -> Ratchet:
        """Lowers what has become smaller; what has grown keeps its number and stays a finding."""
        excess = {_key(item): item.size for item in sizes.measure(tree)}
        counted = suppressions.count(tree)
        return Ratchet(
            {key: min(size, excess[key]) for key, size in self.excess.items() if key in excess},
            {kind: min(number, counted[kind]) for kind, number in self.suppressions.items()},
        )

    def render(self) -> str:
        """The file's text."""
        sections = {"excess": self.excess, "suppressions": self.suppressions}
        lines = [_HEADER.rstrip()]
        for title, entries in sections.items():
            lines += ["", f"[{title}]"]
            lines += [f'"{key}" = {number}' for key, number in sorted(entries.items())]
        return "\n".join(lines) + "\n"


def check(tree: Tree) -> Iterator[Finding]:
    """Findings for what grew beyond the ratchet, and for room in it that nothing needs any more."""
    allowed = Ratchet.of(tree)
    yield from _grown(tree, allowed)
    tight = allowed.tightened(tree)
    if tight != allowed:
        message = "something became smaller; run `python -m tools.rules --tighten`"
        yield Finding(PATH, 1, RULE, message)


def _grown(tree: Tree, allowed: Ratchet) -> Iterator[Finding]:
    for item in sizes.measure(tree):
        limit = max(item.size_max, allowed.excess.get(_key(item), 0))
        if item.size > limit:
            unit = "" if item.subject.startswith("parameters") else " lines"
            message = f"{item.subject}: {item.size}{unit}, limit {limit}"
            yield Finding(item.path, item.line, "size", message)
    for kind, number in suppressions.count(tree).items():
        limit = allowed.suppressions.get(kind, 0)
        if number > limit:
            message = f"{number} comments `{kind}`, {limit} allowed; remove one"
            yield Finding(PATH, 1, RULE, message)


def _key(item: sizes.Measure) -> str:
    return f"{item.path}: {item.subject}"
