"""`python -m tools.rules`: the repository's own rules, as the tests apply them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.rules import book, ratchet
from tools.rules.tree import Tree

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Prints findings, one a line; 1 where there are any."""
    parser = argparse.ArgumentParser(prog="tools.rules", description=__doc__)
    parser.add_argument(
        "--tighten", action="store_true", help=f"lower the numbers in {ratchet.PATH}"
    )
    tree = Tree.read(ROOT)
    if parser.parse_args().tighten:
        tight = ratchet.Ratchet.of(tree).tightened(tree).render()
        (ROOT / ratchet.PATH).write_text(tight, encoding="utf-8")
        tree = tree.with_files({ratchet.PATH: tight})
    found = sorted(book.check(tree))
    for finding in found:
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
