"""Tasks, threads and processes have a supervisor: nobody else starts one."""

from __future__ import annotations

from collections.abc import Iterator

from tandemkit.audit.finding import Finding
from tandemkit.audit.spawns import starts
from tools.rules.tree import Tree

RULE = "supervised"

# The others note where tests start something, and measure what starts cost without a supervisor.
_MAY_START = (
    "libs/tandemkit/supervise/",
    "libs/tandemkit/testing/origins.py",
    "tests/bench/supervise.py",
)


def check(tree: Tree) -> Iterator[Finding]:
    """Findings for calls (and base classes) that start something outside tandemkit.supervise."""
    for module in tree.modules:
        if not module.path.startswith(_MAY_START):
            for line, name in starts(module):
                message = f"`{name}` outside tandemkit.supervise"
                yield Finding(module.path, line, RULE, message)
