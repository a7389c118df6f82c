"""The first start, with a hand-written uv in place of the real one: nothing is fetched."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from bootstrap import prepare
from launch import Places, places
from tandemkit.core.environment import Environment
from tandemkit.supervise.processes import Command, run_process

PINS = "# --- run\nclick==8 --hash=sha256:aa\n# --- test\npytest==9 --hash=sha256:bb\n"
STUBS = "import sys\nfrom pathlib import Path\nPath(sys.argv[2], 'a_pb2.py').touch()\n"
RACE = """
import sys
from pathlib import Path
from bootstrap import prepare
from launch import places
from tandemkit.core.environment import Environment
environment = Environment.read()
root = Path(sys.argv[1])
sys.exit(prepare(root, places(root, environment), environment))
"""


class Checkout:
    """A small checkout, a user's home, and a uv on PATH that notes each time it is called."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        (self.root / "protos").mkdir(parents=True)
        (self.root / "tools").mkdir()
        (self.root / "pins.txt").write_text(PINS)
        (self.root / "tools" / "stubs.py").write_text(STUBS)
        (self.root / "protos" / "a.proto").write_text("// a")
        self.calls = folder / "uv.calls"
        self.uv_does("")
        path = f"{folder / 'bin'}:/usr/bin:/bin"
        self.variables = {"HOME": str(folder), "PATH": path, "PYTHONPATH": ":".join(sys.path)}

    def uv_does(self, line: str) -> None:
        script = self.root.parent / "bin" / "uv"
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\necho called >> {self.calls}\n{line}\n")
        script.chmod(0o755)

    @property
    def environment(self) -> Environment:
        return Environment.read(self.variables)

    @property
    def places(self) -> Places:
        return places(self.root, self.environment)

    def start(self) -> int:
        return prepare(self.root, self.places, self.environment)

    def calls_of_uv(self) -> int:
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_start_makes_all_and_the_second_nothing(checkout: Checkout) -> None:
    """What is there is not made again."""
    assert checkout.start() == 0
    assert checkout.places.environment_ready()
    assert (checkout.places.stubs / "a_pb2.py").exists()
    assert checkout.start() == 0
    assert checkout.calls_of_uv() == 1


def test_an_edited_contract_costs_no_installation(checkout: Checkout) -> None:
    """Only the stubs are made again."""
    assert checkout.start() == 0
    (checkout.root / "protos" / "a.proto").write_text("// b")
    assert not checkout.places.stubs_ready()
    assert checkout.start() == 0
    assert checkout.places.stubs_ready()
    assert checkout.calls_of_uv() == 1


def test_what_a_killed_start_left_is_replaced(checkout: Checkout) -> None:
    """A folder without its mark is never trusted."""
    half = checkout.places.environment / "lib" / "half-installed"
    half.mkdir(parents=True)
    assert checkout.start() == 0
    assert not half.exists()


def test_a_full_disk_is_one_sentence(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what to do, and pip is not asked to fill the disk once more."""
    checkout.uv_does("echo 'No space left on device (os error 28)'; exit 2")
    assert checkout.start() == 2
    assert not checkout.places.environment_ready()
    told = capsys.readouterr().err.splitlines()
    assert "the disk is full" in told[-1]
    assert not any("pip" in line for line in told)


def test_a_contract_that_does_not_compile_is_named(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    """The environment stays, so mending the contract is all that is left to do."""
    broken = "import sys\nprint('tandem/a.proto:3:1: Expected \";\".')\nsys.exit(1)\n"
    (checkout.root / "tools" / "stubs.py").write_text(broken)
    assert checkout.start() == 2
    assert "tandem/a.proto:3:1" in capsys.readouterr().err.splitlines()[-1]
    assert checkout.places.environment_ready()


def test_a_cache_that_cannot_be_is_one_sentence(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file where the cache belongs is as bad as a read-only disk."""
    in_the_way = checkout.root / "cache"
    in_the_way.touch()
    checkout.variables["XDG_CACHE_HOME"] = str(in_the_way)
    assert checkout.start() == 2
    assert "XDG_CACHE_HOME" in capsys.readouterr().err


async def test_of_first_starts_at_once_one_works(checkout: Checkout, tmp_path: Path) -> None:
    """The others wait and find it done."""
    others_wait = f'[ "$(grep -l waiting {tmp_path}/log.* | wc -l)" -eq 2 ]'
    checkout.uv_does(f"until {others_wait}; do :; done")
    commands = [
        Command(
            (sys.executable, "-c", RACE, str(checkout.root)),
            tmp_path / f"log.{number}",
            env={**checkout.variables, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for number in range(3)
    ]
    assert await asyncio.gather(*map(run_process, commands)) == [0, 0, 0]
    assert checkout.calls_of_uv() == 1
    assert checkout.places.stubs_ready()
