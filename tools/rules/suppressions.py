"""Comments that silence a tool: each says what it silences and why; their number only falls."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from tools.rules.tree import Finding, Tree

RULE = "suppression"

# A directive stands anywhere in a comment, as the tools themselves read it.
_DIRECTIVE = re.compile(r"#\s*(?:ruff:\s*)?(?P<kind>noqa|type:\s*ignore)(?P<rest>.*)")
_CODED = {
    "noqa": re.compile(r":\s*[A-Z]+[0-9]+(\s*,\s*[A-Z]+[0-9]+)*(?P<reason>.*)"),
    "type: ignore": re.compile(r"\[[a-z-]+(\s*,\s*[a-z-]+)*\](?P<reason>.*)"),
}
_WORDS_OF_REASON_MIN = 2
_LIKELY = re.compile(r"noqa|type:\s*ignore")


def check(tree: Tree) -> Iterator[Finding]:
    """Findings for directives without a code or without a reason."""
    for path, line, kind, rest in _directives(tree):
        coded = _CODED[kind].match(rest)
        if coded is None:
            yield Finding(path, line, RULE, f"`{kind}` names the code that it silences")
        elif len(re.findall(r"\w+", coded["reason"])) < _WORDS_OF_REASON_MIN:
            yield Finding(path, line, RULE, f"`{kind}` says why, after the code")


def count(tree: Tree) -> Counter[str]:
    """How many of each kind there are, for the ratchet."""
    return Counter(kind for _, _, kind, _ in _directives(tree))


def _directives(tree: Tree) -> Iterator[tuple[str, int, str, str]]:
    for module in tree.modules:
        if not _LIKELY.search(module.text):
            continue
        for line, comment in module.comments:
            for found in _DIRECTIVE.finditer(comment):
                kind = re.sub(r"type:\s*", "type: ", found["kind"])
                if kind in _CODED:
                    yield module.path, line, kind, found["rest"]
