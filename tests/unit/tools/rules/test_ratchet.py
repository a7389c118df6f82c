"""Sizes are measured, and the list of what is too large only shrinks."""

from __future__ import annotations

import pytest

from tests.unit.tools.rules.planted import found
from tools.rules import ratchet
from tools.rules.ratchet import Ratchet
from tools.rules.tree import Tree

_PATH = "libs/tandemkit/rpc/server.py"


def _function(lines: int) -> str:
    return "def serve():\n" + "    x = 1\n" * (lines - 1)


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        (_PATH, _function(71), "function serve: 71 lines, limit 70"),
        (_PATH, "class Server:\n" + "    x = 1\n" * 150, "class Server: 151 lines, limit 150"),
        (_PATH, "x = 1\n" * 301, "file: 301 lines, limit 300"),
        (_PATH, "def f(a, b, c, *, d, e, g): ...\n", "parameters of f: 6, limit 5"),
        ("protos/tandem/text/v1/x.proto", "message X {}\n" * 301, "file: 301 lines"),
        (_PATH, "x = 1  # noqa: S101 - a good reason\n", "1 comments `noqa`, 0 allowed"),
    ],
)
def test_excess_is_caught(path: str, text: str, said: str) -> None:
    """One beyond the limit is found, with both numbers."""
    (finding,) = found(ratchet.check, path, text)
    assert said in finding


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (_PATH, _function(70)),
        (_PATH, "class C:\n    def f(self, a, b, c, d, e): ...\n"),
        ("tests/unit/test_x.py", "def test_x(a, b, c, d, e, f): ...\n"),
        ("protos/tandem/text/v1/x.proto", "// Why.\n" * 400),
        ("docs/design/calls.md", "line\n" * 1000),
    ],
)
def test_the_limit_itself_passes(path: str, text: str) -> None:
    """Limits are inclusive; fixtures, comments of contracts and documents have none."""
    assert found(ratchet.check, path, text) == []


def test_listed_excess_passes_and_may_not_grow() -> None:
    """A listed number is the limit from then on."""
    listed = Ratchet({f"{_PATH}: function serve": 80}).render()
    assert list(ratchet.check(Tree({_PATH: _function(80), ratchet.PATH: listed}))) == []
    (finding,) = ratchet.check(Tree({_PATH: _function(81), ratchet.PATH: listed}))
    assert "81 lines, limit 80" in str(finding)


def test_room_that_nothing_needs_is_caught_and_tightened() -> None:
    """What became smaller may not grow again: the list is lowered, or forgets it."""
    loose = Ratchet({f"{_PATH}: function serve": 90, "gone.py: file": 400}, {"noqa": 2})
    tree = Tree({_PATH: _function(80), ratchet.PATH: loose.render()})
    (finding,) = ratchet.check(tree)
    assert "--tighten" in str(finding)
    tight = Ratchet.of(tree).tightened(tree)
    assert tight == Ratchet({f"{_PATH}: function serve": 80}, {"noqa": 0})
    assert Ratchet.of(tree.with_files({ratchet.PATH: tight.render()})) == tight
