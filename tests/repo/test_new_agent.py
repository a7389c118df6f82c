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

# A family that has agents, one that the agent is the first of, and one that calls two of others.
_ASKED = {
    "utility/collapse_spaces": (),
    "tale/session_memory": (),
    "tale/retell": ("tale/session_memory", "utility/toolbox"),
}


@dataclass(frozen=True)
class Grown:
    """A copy of the repository with the new agents in it, and the stubs of its contracts."""

    before: Tree
    root: Path
    stubs: Path
    paths: Sequence[str]

    @property
    def python(self) -> list[str]:
        return [path for path in self.paths if path.endswith(".py")]

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


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Grown:
    folder = tmp_path_factory.mktemp("grown")
    before = Tree.read(root())
    for path in before.files:
        target = folder / "copy" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root() / path, target)
    files: list[str] = []
    for which, calls in _ASKED.items():
        new = NewAgent.asked(which, purpose="Says a text again", calls=calls)
        files += make(new, folder / "copy", write_all=True)
    stubs.generate(folder / "stubs", folder / "copy/protos")
    return Grown(before, folder / "copy", folder / "stubs", files)


def test_their_own_tests_pass(grown: Grown) -> None:
    """The generated tests pass over the generated agents."""
    tests = [path for path in grown.python if path.startswith("tests/")]
    assert len(tests) == len(_ASKED)
    _expect_silence(grown.run("pytest", "-q", "-p", "no:cacheprovider", *tests))


def test_they_keep_the_rules_of_the_repository(grown: Grown) -> None:
    """The copy breaks no rule that the repository did not break before: all five facts agree."""
    known = set(book.check(grown.before))
    fresh = sorted(set(book.check(Tree.read(grown.root))) - known)
    _expect_silence("\n".join(str(finding) for finding in fresh))


def test_their_contracts_please_buf_and_break_nobody(grown: Grown, tmp_path: Path) -> None:
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
    _expect_silence(grown.run("ruff", "check", "--no-cache", *grown.python))
    _expect_silence(grown.run("ruff", "format", "--no-cache", "--check", *grown.python))


def test_types_are_strict(grown: Grown) -> None:
    """The generated Python passes mypy in strict mode."""
    flags = ("--strict", "--namespace-packages", "--explicit-package-bases")
    quick = ("--follow-imports=silent", "--no-incremental")
    _expect_silence(grown.run("mypy", *flags, *quick, *grown.python))


def _expect_silence(said: str) -> None:
    if said:
        pytest.fail(said, pytrace=False)
