"""One planted file, and what a rule says about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from textwrap import dedent

from tandemkit.audit.finding import Finding
from tools.rules.tree import Tree

Rule = Callable[[Tree], Iterable[Finding]]


def found(rule: Rule, path: str, text: str) -> list[str]:
    """The rule's findings over a tree of this file alone, as a person reads them."""
    return [str(finding) for finding in rule(Tree({path: dedent(text)}))]
