"""Row M189: tests own what they start, and wait for what happens, never for time to pass."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from tandemkit.testing import leaks
from tests.repo.checkout import root
from tools.rules import habits
from tools.rules.tree import Tree

_CONFTEST = f"""
import {leaks.__name__} as leaks
from {leaks.__name__} import *

leaks.PATIENCE_S = 0.3
"""
_PLANTED = """
import asyncio, os, socket, subprocess, sys, tempfile, threading, time

KEPT = []
CHILD = "import subprocess; subprocess.Popen(['sleep', '1001'], start_new_session=True)"

def test_process():
    KEPT.append(subprocess.Popen(["sleep", "1000"], env={}))

def test_orphan():
    subprocess.run([sys.executable, "-c", CHILD], env={}, check=True)

def test_thread():
    threading.Thread(target=threading.Event().wait, name="idle", daemon=True).start()

async def test_task():
    async def forever():
        await asyncio.Event().wait()
    KEPT.append(asyncio.ensure_future(forever()))

def test_socket():
    KEPT.append(socket.create_server(("127.0.0.1", 0)))

def test_unix_socket(tmp_path):
    KEPT.append(socket.socket(socket.AF_UNIX))
    KEPT[-1].bind(f"{tmp_path}/s")
    KEPT[-1].listen()

def test_folder():
    KEPT.append(tempfile.mkdtemp())

def test_sleep():
    time.sleep(0.001)

async def test_asyncio_sleep():
    await asyncio.sleep(0.001)

def test_tidy(tmp_path):
    with subprocess.Popen(["true"]), socket.create_server(("127.0.0.1", 0)):
        pass

async def test_tidy_loop():
    await asyncio.to_thread(print)
    await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
"""
# What is said of each, beside its line.
_SAID = {
    "test_process": "(sleep 1000)",
    "test_orphan": "(sleep 1001)",
    "test_thread": "thread 'idle'",
    "test_task": "task test_task.<locals>.forever",
    "test_socket": "socket that listens on 127.0.0.1:",
    "test_unix_socket": "socket that listens on /",
    "test_folder": "folder /",
    "test_sleep": "sleep of 0.001 s",
    "test_asyncio_sleep": "sleep of 0.001 s",
}
_TIDY = ("test_tidy", "test_tidy_loop")


def _ran(folder: Path) -> str:
    """What a run of the planted tests prints."""
    folder.joinpath("tests").mkdir()
    folder.joinpath("tests/conftest.py").write_text(_CONFTEST)
    folder.joinpath("tests/test_planted.py").write_text(_PLANTED)
    plugins = ("-p", pytest_asyncio.__name__, "-o", "asyncio_mode=auto", "-p", "no:cacheprovider")
    argv = (sys.executable, "-m", pytest.__name__, "-v", *plugins, "--rootdir", str(folder))
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HOME": str(folder),
        "TMPDIR": str(folder),
    }
    done = subprocess.run(
        (*argv, "tests"), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """By test that failed, what is said of it."""
    heading = " ERROR at teardown of "
    parts = _ran(tmp_path_factory.mktemp("planted")).split(heading)[1:]
    return {part.partition(" ")[0]: part for part in parts}


def _lines(name: str) -> range:
    """Of this planted test."""
    (found,) = (one for one in ast.parse(_PLANTED).body if getattr(one, "name", "") == name)
    return range(found.lineno, (found.end_lineno or 0) + 1)


@pytest.mark.parametrize("name", _SAID)
def test_m189_a_test_that_leaks_or_sleeps_fails(name: str, told: Mapping[str, str]) -> None:
    """The failure names what was left, and the line that it was started at."""
    said = told[name]
    assert _SAID[name] in said
    assert any(f"test_planted.py:{line}\n" in said for line in _lines(name)), said


def test_m189_a_test_that_ends_what_it_starts_passes(told: Mapping[str, str]) -> None:
    """What lived for a moment is nobody's business."""
    assert not told.keys() & set(_TIDY)
    assert told.keys() == _SAID.keys()


def test_m189_a_sleep_is_found_without_running_it(tmp_path: Path) -> None:
    """By the linter, and by the rules of the repository, however it is spelled."""
    path = tmp_path / "tests" / "test_planted.py"
    path.parent.mkdir()
    path.write_text(_PLANTED)
    ruff = (sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "TID251")
    config = ("--config", str(root() / "pyproject.toml"), str(path))
    found = subprocess.run((*ruff, *config), capture_output=True, text=True, check=False)
    assert "`time.sleep` is banned" in found.stdout
    assert "`asyncio.sleep` is banned" in found.stdout
    spelled = "from time import sleep as wait\nwait(1)\n"
    tree = Tree({"tests/unit/test_planted.py": spelled})
    assert [one.line for one in habits.clocks(tree)] == [2]
