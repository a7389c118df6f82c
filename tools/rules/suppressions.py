"""Comments that silence a tool: each says what it silences and why; their number only falls."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from tandemkit.audit.finding import Finding
from tandemkit.audit.syntax import Module
from tools.rules.tree import Tree

RULE = "suppression"

# A directive stands anywhere in a comment, as the tools themselves read it.
_START = r"#\s*(?:ruff:\s*)?(?P<kind>noqa|type:\s*ignore)"
_DIRECTIVE = re.compile(rf"{_START}(?P<rest>.*?)(?=#\s*(?:noqa|type:\s*ignore)|$)")
_WHOLE_FILE = re.compile(r"#\s*(mypy:|type:\s*ignore-errors)")
_CODED = {
    "noqa": re.compile(r":\s*[A-Z]+[0-9]+(\s*,\s*[A-Z]+[0-9]+)*(?P<reason>.*)"),
    "type: ignore": re.compile(r"\[[a-z-]+(\s*,\s*[a-z-]+)*\](?P<reason>.*)"),
}
_WORDS_OF_REASON_MIN = 2
_LIKELY = re.compile(r"noqa|type:\s*ignore|mypy:")


def check(tree: Tree) -> Iterator[Finding]:
    """Findings for directives without a code or a reason, and for those over a whole file."""
    for module in _likely(tree):
        for line, comment in module.comments:
            if _WHOLE_FILE.match(comment):
                yield Finding(module.path, line, RULE, "mypy's settings stand in pyproject.toml")
    for path, line, kind, rest in _directives(tree):
        coded = _CODED[kind].match(rest)
        if coded is None:
            yield Finding(path, line, RULE, f"`{kind}` names the code that it silences")
        elif len(re.findall(r"\w+", coded["reason"])) < _WORDS_OF_REASON_MIN:
            yield Finding(path, line, RULE, f"`{kind}` says why, after the code")


def count(tree: Tree) -> Counter[str]:
    """How many of each kind there are, for the ratchet."""
    return Counter(kind for _, _, kind, _ in _directives(tree))


def _likely(tree: Tree) -> Iterator[Module]:
    return (module for module in tree.modules if _LIKELY.search(module.text))


def _directives(tree: Tree) -> Iterator[tuple[str, int, str, str]]:
    for module in _likely(tree):
        for line, comment in module.comments:
            for found in _DIRECTIVE.finditer(comment):
                kind = re.sub(r"type:\s*", "type: ", found["kind"])
                if kind in _CODED:
                    yield module.path, line, kind, found["rest"]
