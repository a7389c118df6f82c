"""Another user of the same machine, who reaches loopback and sees every process."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tandemkit.testing.parts import short_folder
from tandemkit.testing.tokens import shown
from tests.cluster.mesh.trial_contract import ALPHA, Answer, Question
from tests.cluster.safety import stranger
from tests.cluster.safety.exposed import Exposed, exposed, files_below
from tests.cluster.test_up import TANDEM, Shell

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.real("envoy"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user: run as root"),
]
STOP = "/tandem.control.v1.MachineService/ShutDown"
HEALTH, LIST = "/grpc.health.v1.Health/Check", "/tandem.control.v1.FleetStatusService/ListAgents"


@pytest.fixture
async def fleet() -> AsyncIterator[Exposed]:
    async with exposed() as fleet:
        yield fleet


async def found_by_stranger(**asked: Any) -> dict[str, Any]:
    asking = {"files": [], "calls": [], "ports": [], **asked}
    done = await asyncio.to_thread(
        subprocess.run,
        (sys.executable, "-m", stranger.__name__),
        input=json.dumps(asking),
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["user"] == stranger.NOBODY
    return said


@pytest.fixture
def readable() -> Iterator[Path]:
    """A file that everybody may read, to see that the stranger can."""
    with short_folder() as folder:
        folder.chmod(0o755)
        path = folder / "readable"
        path.write_text("everybody's")
        path.chmod(0o644)
        yield path


async def test_another_user_gets_nowhere(fleet: Exposed, readable: Path) -> None:
    """Neither into the home and what processes know, nor past the token, nor onto a port; and what
    is public answers, so it did reach the fleet.
    """
    ask = f"/{ALPHA}/Ask"
    wrong = [["authorization", "Bearer x"]]
    addresses = [f"127.0.0.1:{fleet.ports[name]}" for name in ("control", "host", "edge")]
    calls = [
        [at, path, header] for at in addresses for path in (ask, LIST) for header in ([], wrong)
    ]
    secrets = [str(path) for path in files_below(fleet.home)]
    for process in fleet.processes.values():
        secrets += [f"/proc/{process.pid}/{name}" for name in ("environ", "mem", "maps", "fd")]
    said = await found_by_stranger(
        files=[*secrets, str(readable)],
        calls=[*calls, [addresses[0], HEALTH, []]],
        register=[addresses[0], "host"],
        ports=list(fleet.ports.values()),
    )
    assert said["files"].pop(str(readable)) == "open"
    assert {path: how for path, how in said["files"].items() if how != "refused"} == {}
    assert str(fleet.token.path) in said["files"]
    assert said["calls"].pop(str([addresses[0], HEALTH, []])) == "answered"
    assert set(said["calls"].values()) == {"UNAUTHENTICATED"}
    assert said["registered"] == "UNAUTHENTICATED"
    assert set(said["ports"].values()) == {"refused"}
    assert set((await fleet.calls()).values()) == {0}
    async with shown(addresses[1], fleet.token) as channel:
        call: Any = channel.unary_unary(ask, Question.SerializeToString, Answer.FromString)
        await call(Question())
    assert (await fleet.calls())[ask.removeprefix("/")] == 1


async def test_another_user_gets_into_nothing_that_up_made(readable: Path) -> None:
    """Neither the supervisor's socket, nor logs, state, plans and secrets, though the home was
    there before and lets everybody look in.
    """
    with short_folder() as folder:
        shell = Shell(folder)
        shell.home.mkdir()
        for path in (folder, shell.home):
            path.chmod(0o755)
        async with shell.up():
            kept = [str(path) for path in files_below(shell.home)]
            control = shell.run(*TANDEM, "env", "controls").strip()
            said = await found_by_stranger(
                files=[*kept, str(readable)],
                calls=[[control, LIST, []], [control, STOP, []]],
                register=[control, "laptop-agents"],
            )
    assert said["files"].pop(str(readable)) == "open"
    assert {path: how for path, how in said["files"].items() if how != "refused"} == {}
    made = {Path(path).name for path in said["files"]}
    assert {"token", "hosts.key", "machine.sock"} <= made
    assert any(name.endswith(".log") for name in made)
    assert set(said["calls"].values()) == {"UNAUTHENTICATED"}
    assert said["registered"] == "UNAUTHENTICATED"
