"""`./tandem up` and `./tandem env` in processes of their own, and clients that were told nothing
else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from services.utility.toolbox.agent import AGENT as TOOLBOX
from tandemkit.cli.main import main
from tandemkit.core.token import FILE_NAME, Token
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.checkouts import write_checkout
from tandemkit.testing.parts import demand, short_folder
from tandemkit.testing.tokens import GRPCURL_FLAGS, grpcurl_variables
from tests.cluster import stock_client

pytestmark = pytest.mark.cluster
SERVED = (REGISTRY, FLEET_STATUS, MACHINE, TOOLBOX)
TARGET = "xds:///tandem"
TANDEM = (sys.executable, "-c", f"from {main.__module__} import main; main()")


class Shell:
    """A person's, in a checkout with a small fleet."""

    def __init__(self, folder: Path) -> None:
        write_checkout(folder, SERVED)
        self.folder = folder
        self.variables = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TANDEM_ROOT": str(folder),
            "TANDEM_HOME": str(self.home),
        }

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def token(self) -> Token:
        return Token(self.home / FILE_NAME)

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """On a port that nobody is told."""
        argv = (*TANDEM, "up", "--address", "127.0.0.1:0")
        command = Command(argv, self.folder / "log", env=self.variables, grace_s=30)

        async def serves() -> None:
            assert "Tandem serves" in command.log_path.read_text()

        async with supervised_process(command, ready=serves):
            yield

    def status_of(self, *argv: str) -> int:
        return subprocess.run(argv, env=self.variables, capture_output=True, check=False).returncode

    def run(self, *argv: str, **more: str) -> str:
        return output_of(argv, {**self.variables, **more})

    def run_in_mesh(self, *argv: str) -> str:
        """After `eval "$(./tandem env)"`."""
        script = 'eval "$TOLD"; exec "$@"'
        return self.run("sh", "-c", script, "sh", *argv, TOLD=self.run(*TANDEM, "env"))


def output_of(argv: tuple[str, ...], variables: Mapping[str, str]) -> str:
    done = subprocess.run(argv, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
async def shell() -> AsyncIterator[Shell]:
    with short_folder() as folder:
        shell = Shell(folder)
        async with shell.up():
            yield shell


async def test_a_stock_client_calls_an_agent_after_env(shell: Shell) -> None:
    """It knows the one target and the generated stub, and no address."""
    client = (sys.executable, "-m", stock_client.__name__, TARGET, "one two")
    assert shell.run_in_mesh(*client, str(shell.token.path)) == "2\n"


@pytest.mark.real("grpcurl")
async def test_grpcurl_finds_and_calls_every_agent_after_env(shell: Shell) -> None:
    """No proto files either: the target answers what it serves."""
    grpcurl = (str(demand("grpcurl")["grpcurl"]), "-plaintext", "-max-time", "20")
    shell.variables |= grpcurl_variables(shell.token)
    listed = shell.run_in_mesh(*grpcurl, TARGET, "list").split()
    assert {agent.promise.service.full_name for agent in SERVED} <= set(listed)
    service = TOOLBOX.promise.service.full_name
    request = (*GRPCURL_FLAGS, "-d", '{"text": "one two"}', TARGET, f"{service}/MeasureText")
    assert '"words": "2"' in shell.run_in_mesh(*grpcurl, *request)


async def test_a_fleet_is_found_by_its_home(shell: Shell) -> None:
    """Two fleets have two, and each shell finds its own; a second `up` on the same home leaves what
    runs as it is.
    """
    told = json.loads(shell.run(*TANDEM, "up", "-d", "--json"))
    assert (told["serving"], told["changes"]) == (True, [])
    with short_folder() as folder:
        other = Shell(folder)
        async with other.up():
            controls = {one.run(*TANDEM, "env", "controls") for one in (shell, other)}
    assert len(controls) == 2
    # The other one is gone with its command.
    assert other.run(*TANDEM, "env", "controls") == "127.0.0.1:8200\n"
