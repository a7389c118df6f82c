from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from tandemkit.cli.call import call
from tandemkit.cli.output import Refusal
from tandemkit.core.listeners import strangers_at
from tandemkit.supervise.processes import Command, supervised_process

NOBODY = 65534
AS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become another user: run as root"
)
_LISTEN = f"""
import os, signal, socket
os.setgroups([])
os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
signal.pause()
"""


@asynccontextmanager
async def listening_as_nobody(folder: Path) -> AsyncIterator[str]:
    """The address of a process of another user."""
    log = folder / "log"
    command = Command((sys.executable, "-c", _LISTEN), log, env={})

    async def listens() -> None:
        assert log.read_text().endswith("\n")

    async with supervised_process(command, ready=listens):
        yield f"127.0.0.1:{log.read_text().strip()}"


def test_ones_own_listener_is_no_stranger() -> None:
    """Nor is a port that nobody has, another machine, or what is no address."""
    with socket.create_server(("127.0.0.1", 0)) as own:
        port = own.getsockname()[1]
        assert strangers_at(f"127.0.0.1:{port}") == set()
    for address in (f"localhost:{port}", "10.255.0.1:8200", "unix:/run/s", "[::1]:1", "", "a:b"):
        assert strangers_at(address) == set()


@AS_ROOT
async def test_another_users_listener_is_a_stranger(tmp_path: Path) -> None:
    """By any name of loopback."""
    async with listening_as_nobody(tmp_path) as address:
        port = address.rpartition(":")[2]
        for host in ("127.0.0.1", "localhost", "127.0.0.9"):
            assert strangers_at(f"{host}:{port}") == {NOBODY}


@AS_ROOT
async def test_a_command_shows_the_token_to_no_stranger(tmp_path: Path) -> None:
    """Who took the port of a fleet that is away learns nothing from it."""
    async with listening_as_nobody(tmp_path) as address:
        done = CliRunner().invoke(call, ["utility-toolbox/MeasureText", "--address", address])
    assert isinstance(done.exception, Refusal)
    assert f"a process of user {NOBODY}" in done.exception.message
