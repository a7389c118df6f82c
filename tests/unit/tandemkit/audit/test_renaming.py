"""Imports that point at another module afterwards."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tandemkit.audit.renaming import Left, Renaming
from tandemkit.audit.syntax import Module

_RENAMING = Renaming({"common.pools.zmq_pool": "agents.pool", "common.pools": "agents.pools"})


def _renamed(text: str) -> tuple[str, tuple[Left, ...]]:
    return _RENAMING.applied(Module("src/agent.py", dedent(text)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import common.pools.zmq_pool as pool\n", "import agents.pool as pool\n"),
        ("from common.pools.zmq_pool import Pool\n", "from agents.pool import Pool\n"),
        ("from common.pools.zmq_pool.core import Pool\n", "from agents.pool.core import Pool\n"),
        ("from common.pools import zmq_pool\n", "from agents import pool as zmq_pool\n"),
        ("from common.pools import zmq_pool as p\n", "from agents import pool as p\n"),
        ("from common.pools import Other\n", "from agents.pools import Other\n"),
        ("import common.poolside\n", "import common.poolside\n"),
        ("é = 1; import common.pools.zmq_pool as p\n", "é = 1; import agents.pool as p\n"),
    ],
)
def test_an_import_is_renamed_by_its_longest_name(before: str, after: str) -> None:
    """Nothing but the name changes, and what merely begins with the same letters does not."""
    assert _renamed(before) == (after, ())


def test_uses_of_a_dotted_import_move_with_it() -> None:
    """`import a.b` binds `a`, so each `a.b.c()` changes; comments and strings do not."""
    before = """\
        import common.pools.zmq_pool
        # common.pools.zmq_pool is old
        def build():
            return common.pools.zmq_pool.Pool(
                common.pools.zmq_pool.SIZE, "common.pools.zmq_pool"
            )
        """
    after = """\
        import agents.pool
        # common.pools.zmq_pool is old
        def build():
            return agents.pool.Pool(
                agents.pool.SIZE, "common.pools.zmq_pool"
            )
        """
    assert _renamed(before) == (dedent(after), ())


def test_what_cannot_be_renamed_alone_is_left_and_named() -> None:
    """A relative import of a moved module is somebody's to decide."""
    text = "from .pools.zmq_pool import Pool\n"
    module = Module("common/agent.py", text)
    assert _RENAMING.applied(module) == (
        text,
        (Left(1, "imports `common.pools.zmq_pool` by a relative name"),),
    )


def test_a_module_imported_beside_others_that_stay_is_left() -> None:
    """One statement cannot name two packages."""
    renaming = Renaming({"common.pool": "agents.pool"})
    text = "from common import pool, text\n"
    after, left = renaming.applied(Module("src/agent.py", text))
    assert after == text
    assert left == (Left(1, "imports pool beside others"),)


def test_lines_are_counted_as_python_counts_them() -> None:
    """A form feed, or a separator within a string, ends no line."""
    before = 'x = "\u2028"\n\x0c\nimport common.pools\r\n'
    after, left = _renamed(before)
    assert (after, left) == (before.replace("common.pools", "agents.pools"), ())
