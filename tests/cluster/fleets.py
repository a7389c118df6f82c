"""A fleet of a small checkout, driven by the command line as a person does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from services.utility.toolbox.agent import AGENT as TOOLBOX
from tandemkit.cli.main import main
from tandemkit.hosting.agent import Agent
from tandemkit.machine.home import Home
from tandemkit.machine.record import records
from tandemkit.testing.checkouts import write_checkout
from tandemkit.testing.parts import short_folder
from tests.cluster.eventually import eventually

# The agents of each host.
Hosts: TypeAlias = Mapping[str, Sequence[str]]
SERVED = (REGISTRY, FLEET_STATUS, MACHINE, TOOLBOX)
TANDEM = (sys.executable, "-P", "-c", f"from {main.__module__} import main; main()")


class Checkout:
    """A folder with deploy/ in it, and a home."""

    def __init__(self, folder: Path, home: str = "home") -> None:
        self.folder = folder
        self.home = Home(folder / home)
        self.variables = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TANDEM_ROOT": str(folder),
            "TANDEM_HOME": str(self.home.folder),
        }

    async def tandem(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command, to its end."""
        return await self.run(*TANDEM, *arguments)

    async def run(self, *argv: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Any program, with what the fleet's commands are told, and something on its input."""
        return await asyncio.to_thread(
            subprocess.run,
            argv,
            env=self.variables,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )

    async def told(self, *arguments: str) -> Any:
        """What a command that succeeds says with --json."""
        done = await self.tandem(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def kill(self, name: str) -> None:
        """As kill -9 does: nobody is told."""
        os.kill(self.pids()[name], signal.SIGKILL)

    def pids(self) -> dict[str, int]:
        """Of the hosts that run, the supervisor and its keeper."""
        found = {name: one.mark for name, one in records(self.home.hosts).items()}
        if self.home.supervisor is not None:
            found["supervisor"] = self.home.supervisor
        if self.home.keeper is not None:
            found["keeper"] = self.home.keeper
        return {name: mark.pid for name, mark in found.items() if mark.look() is not None}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Inside of the block; nothing of it is left afterwards."""
        try:
            assert (await self.told("up", "-d"))["serving"]
            yield
        finally:
            await self.tandem("down")

    def give_hosts(self, hosts: Hosts) -> None:
        """Of their own to the agents that they name, before it serves."""
        fleet = self.folder / "deploy/fleet"
        groups = [{"name": name, "agents": list(agents)} for name, agents in hosts.items()]
        placed = [{"group": name} for name in hosts]
        for path, more in (("layout/groups.yaml", groups), ("profiles/laptop.yaml", placed)):
            told = json.loads((fleet / path).read_text())
            told["groups"] += more
            (fleet / path).write_text(json.dumps(told))

    async def until_replaced(self, name: str, before: int, within_s: float = 10.0) -> None:
        """Returns when another process has the place of this one."""

        async def pid() -> int:
            return self.pids()[name]

        await eventually(pid, lambda found: found != before, within_s=within_s)


@asynccontextmanager
async def detached_fleet(
    agents: Sequence[Agent] = SERVED, settings: Mapping[str, object] | None = None
) -> AsyncIterator[Checkout]:
    """One that serves; nothing of it is left afterwards. `settings` are by the agent's name."""
    with short_folder() as folder:
        write_checkout(folder, agents, settings)
        checkout = Checkout(folder)
        async with checkout.serving():
            yield checkout
        assert checkout.pids() == {}
