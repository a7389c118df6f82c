"""What tools/new_agent.py writes is green as it stands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import fetch, short_folder
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

    @property
    def environment(self) -> dict[str, str]:
        places = (self.stubs, self.root / "libs", self.root)
        path = os.pathsep.join(str(place) for place in places)
        return {"PYTHONPATH": path, "MYPYPATH": path, "HOME": str(self.root.parent)}

    def run(self, *command: str) -> str:
        """What a Python module prints over the copy, or nothing where it succeeds."""
        argv = [sys.executable, "-m", *command]
        done = subprocess.run(
            argv, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False
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


@pytest.mark.timeout(240)
def test_they_keep_the_rules_of_the_repository(grown: Grown) -> None:
    """The copy breaks no rule that the repository did not break before: all five facts agree."""
    known = set(book.check(grown.before))
    after = grown.before.with_files(Tree.read(grown.root).files)
    fresh = sorted(set(book.check(after)) - known)
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


async def test_m001_a_new_agent_has_health_and_metrics_and_no_code_for_them(grown: Grown) -> None:
    """Its module names neither; the process answers for both over gRPC and HTTP."""
    (path,) = (one for one in grown.python if one.endswith("services/tale/session_memory.py"))
    text = (grown.root / path).read_text("utf-8")
    assert not re.search("health|ready|metric|register|drain", text, re.IGNORECASE)
    with short_folder() as folder:
        module = path.removesuffix(".py").replace("/", ".")
        where = ("--listen", f"unix:{folder}/s", "--http", "127.0.0.1:0", "--state", str(folder))
        argv = (sys.executable, "-c", f"from {module} import main; main()", *where)
        command = Command(argv, folder / "log", env=grown.environment, cwd=grown.root)

        async def serves() -> None:
            assert "host.serving" in command.log_tail()

        async with (
            supervised_process(command, ready=serves),
            grpc.aio.insecure_channel(f"unix:{folder}/s") as channel,
        ):
            request = health_pb2.HealthCheckRequest(service="tandem.tale.v1.SessionMemoryService")
            answer = await health_pb2_grpc.HealthStub(channel).Check(request)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            lines = map(json.loads, command.log_path.read_text("utf-8").splitlines())
            (http,) = (line["address"] for line in lines if line["event"] == "http.serving")
            page = json.loads(await fetch(f"http://{http}/health/tale-session-memory"))
            assert page["status"] == "SERVING"
            figures = (await fetch(f"http://{http}/metrics")).decode()
            assert 'tandem_agent_up{agent="tale-session-memory"' in figures


def _expect_silence(said: str) -> None:
    if said:
        pytest.fail(said, pytrace=False)
