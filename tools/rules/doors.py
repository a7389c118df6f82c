"""What has one way in: whoever passes by it would see half of what happens."""

from __future__ import annotations

from collections.abc import Iterator

from tandemkit.audit.finding import Finding
from tools.rules.tree import Tree

_ROLL = "tandemkit.supervise.roll"
# What only its door may import, and tests: by the beginning of its full name.
_BEHIND = {
    f"{_ROLL}.{name}": "libs/tandemkit/supervise/roll/registry.py"
    for name in ("plain", "cached", "hybrid.HybridRoll")
}


def check(tree: Tree) -> Iterator[Finding]:
    """Findings for imports that go around a door."""
    for module in tree.modules:
        if module.path.startswith("tests/"):
            continue
        for item in module.imports:
            for behind, door in _BEHIND.items():
                if f"{item.origin}.".startswith(f"{behind}.") and module.path != door:
                    message = f"`{item.origin}` is behind {door}: ask that"
                    yield Finding(module.path, item.line, "door", message)
