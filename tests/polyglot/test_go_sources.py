"""What Go's own tools say of the sources of the Go host."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tandemkit.core.environment import Environment
from tandemkit.testing.parts import demand
from tests.polyglot.going import go_host

# What Go compiles for the first time takes it minutes on a small machine.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


@pytest.fixture
async def sources() -> Path:
    """With their stubs, in the folder that the host was built in."""
    return (await go_host()).sources


def told(folder: Path, *argv: str, **variables: str) -> str:
    """What the program wrote; fails where it is not content."""
    known = {**Environment.read().variables, **variables}
    done = subprocess.run(argv, cwd=folder, env=known, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(argv)}:\n{done.stdout}{done.stderr}", pytrace=False)
    return done.stdout


def test_its_sources_are_formatted(sources: Path) -> None:
    """As gofmt writes them."""
    gofmt = str(demand("go")["go"].with_name("gofmt"))
    assert told(sources, gofmt, "-l", "main.go", "kit", "agents") == ""


def test_vet_finds_nothing(sources: Path) -> None:
    """Of what compiles and is wrong all the same."""
    told(sources, str(demand("go")["go"]), "vet", "./...")


def test_its_own_tests_pass_without_a_race(sources: Path) -> None:
    """All that are written in Go, with its detector of races."""
    demand("gcc")
    go = str(demand("go")["go"])
    told(sources, go, "test", "-race", "-p", "2", "./kit/...", "./agents/...", CGO_ENABLED="1")
