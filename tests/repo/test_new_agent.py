"""What tools/new_agent.py writes is green as it stands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.repo.checkout import root
from tools import contracts, stubs
from tools.new_agent import NewAgent, make
from tools.rules import book
from tools.rules.tree import Tree

# A family that has agents, and one that the agent is the first of.
_ASKED = ("utility/collapse_spaces", "tale/session_memory")


@dataclass(frozen=True)
class Grown:
    """A copy of the repository with a new agent in it, and the stubs of its contracts."""

    before: Tree
    root: Path
    stubs: Path
    new: NewAgent
    paths: Sequence[str]

    def run(self, *command: str) -> str:
        """What a Python module prints over the copy, or nothing where it succeeds."""
        places = (self.stubs, self.root / "libs", self.root)
        path = os.pathsep.join(str(place) for place in places)
        environment = {"PYTHONPATH": path, "MYPYPATH": path, "HOME": str(self.root.parent)}
        argv = [sys.executable, "-m", *command]
        done = subprocess.run(
            argv, cwd=self.root, env=environment, capture_output=True, text=True, check=False
        )
        return f"{done.stdout}{done.stderr}" if done.returncode else ""


@pytest.fixture(scope="module", params=_ASKED)
def grown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Grown:
    folder = tmp_path_factory.mktemp("grown")
    before = Tree.read(root())
    for path in before.files:
        target = folder / "copy" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root() / path, target)
    new = NewAgent.asked(request.param, purpose="Says a text again")
    files = make(new, folder / "copy", write_all=True)
    stubs.generate(folder / "stubs", folder / "copy/protos")
    return Grown(before, folder / "copy", folder / "stubs", new, tuple(files))


def test_its_own_tests_pass(grown: Grown) -> None:
    """The generated tests pass over the generated agent."""
    tests = f"tests/unit/services/{grown.new.name.family}/test_{grown.new.name.snake}.py"
    assert (grown.root / tests).is_file()
    _expect_silence(grown.run("pytest", "-q", "-p", "no:cacheprovider", tests))


def test_it_keeps_the_rules_of_the_repository(grown: Grown) -> None:
    """The copy breaks no rule that the repository did not break before: all five facts agree."""
    known = set(book.check(grown.before))
    fresh = sorted(set(book.check(Tree.read(grown.root))) - known)
    _expect_silence("\n".join(str(finding) for finding in fresh))


def test_its_contract_pleases_buf_and_breaks_nobody(grown: Grown, tmp_path: Path) -> None:
    """A new agent is an additive change in good form."""
    before, after = tmp_path / "before.binpb", tmp_path / "after.binpb"
    contracts.image(root() / "protos", before)
    contracts.image(grown.root / "protos", after)
    config = grown.root / "buf.yaml"
    known = set(contracts.lint(before, config))
    found = {*contracts.lint(after, config), *contracts.breaking(after, before, config)} - known
    _expect_silence("\n".join(str(finding) for finding in sorted(found)))


def test_linter_and_formatter_are_content(grown: Grown) -> None:
    """The generated Python passes ruff as configured here."""
    paths = [path for path in grown.paths if path.endswith(".py")]
    _expect_silence(grown.run("ruff", "check", "--no-cache", *paths))
    _expect_silence(grown.run("ruff", "format", "--no-cache", "--check", *paths))


def test_types_are_strict(grown: Grown) -> None:
    """The generated Python passes mypy in strict mode."""
    paths = [path for path in grown.paths if path.endswith(".py")]
    flags = ("--strict", "--namespace-packages", "--explicit-package-bases")
    quick = ("--follow-imports=silent", "--no-incremental")
    _expect_silence(grown.run("mypy", *flags, *quick, *paths))


def _expect_silence(said: str) -> None:
    if said:
        pytest.fail(said, pytrace=False)
