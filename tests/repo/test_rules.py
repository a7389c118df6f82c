"""The repository keeps its own rules."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tandemkit.audit.finding import Finding
from tests.repo.checkout import root
from tools.rules import book
from tools.rules.descriptors import Contracts
from tools.rules.tree import Tree


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree.read(root())


@pytest.fixture(scope="module")
def contracts(tree: Tree) -> Contracts:
    return Contracts.of(tree)


@pytest.mark.parametrize("rule", book.TEXT_RULES)
def test_the_sources_keep_the_rule(tree: Tree, rule: str) -> None:
    """No file breaks the rule; a finding names the file, the line and what to do."""
    _expect_none(book.TEXT_RULES[rule](tree))


@pytest.mark.parametrize("rule", book.CONTRACT_RULES)
def test_the_contracts_keep_the_rule(tree: Tree, contracts: Contracts, rule: str) -> None:
    """No contract, and nothing written in its terms, breaks the rule."""
    _expect_none(book.CONTRACT_RULES[rule](tree, contracts))


def test_the_tree_is_the_whole_repository(tree: Tree) -> None:
    """The rules see what they are about: code, contracts, deployment and documents."""
    for path in ("pants.toml", "pyproject.toml", "libs/BUILD", "protos/baseline.binpb"):
        assert path in tree.files
    for folder in ("docs/", "libs/", "protos/", "services/", "tests/", "tools/"):
        assert any(path.startswith(folder) for path in tree.files)


def _expect_none(findings: Iterable[Finding]) -> None:
    """Fails with one finding a line and nothing else: pytest would cut a long comparison."""
    listed = "\n".join(str(finding) for finding in findings)
    if listed:
        pytest.fail(listed, pytrace=False)
