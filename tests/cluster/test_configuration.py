"""Configuration while the process that serves it is frozen, killed and started again."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from tandem.platform.v1 import config_server_service_pb2 as pb
from tandem.platform.v1 import config_server_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock, stopwatch_s
from tandemkit.hosting.configuration import Configuration, Unconfigured
from tandemkit.rpc.channel import OPTIONS
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.parts import short_folder
from tests.cluster import config_host
from tests.cluster.aloud import Tell
from tests.cluster.eventually import eventually
from tests.unit.services.platform.config_server.config_servers import SIZE, Caller

# A silence of 5 s is enough, and this machine may be busy.
FLAGGED_WITHIN_S = 8.0
DECLARATIONS = [{"key": SIZE, "kind": "CONFIG_KIND_WHOLE", "purpose": "A test.", "default": "10"}]
SETTINGS = {"platform-config-server": {"inline": {"declarations": DECLARATIONS}}}


@asynccontextmanager
async def server(folder: Path, log: Path) -> AsyncIterator[Process]:
    """The same folder again is a restart."""
    settings = folder / "settings.json"
    settings.write_text(json.dumps(SETTINGS))
    options = ("--listen", f"unix:{folder}/sock", "--settings", str(settings), "--open")
    argv = (sys.executable, config_host.__file__, *options, "--state", str(folder / "state"))
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    async with supervised_process(Command(argv, log, env=environment)) as process:
        yield process


@asynccontextmanager
async def followed(folder: Path) -> AsyncIterator[tuple[Configuration, Caller]]:
    asked = pb.WatchConfigValuesRequest(prefix="gateway.")
    async with (
        grpc.aio.insecure_channel(f"unix:{folder}/sock", OPTIONS) as channel,
        Tasks() as tasks,
    ):
        stub = rpc.ConfigServerServiceStub(channel)
        found = Configuration(stub, asked, folder / "config.copy", SystemClock())
        await found.load()
        tasks.spawn("config", found.run())
        yield found, Caller(channel)


async def shown(found: Configuration, *, stale: bool, whole: int) -> None:
    async def look() -> tuple[bool, int] | None:
        try:
            reading = found.reading(SIZE)
        except Unconfigured:
            return None
        return reading.stale, reading.value.whole

    await eventually(look, lambda seen: seen == (stale, whole))


async def test_m023_a_frozen_server_is_flagged_as_a_killed_one_is(
    tmp_path: Path, tell: Tell
) -> None:
    """The value stands, and is fresh again when the server is; what was set outlives its kill."""
    with short_folder() as folder:
        async with followed(folder) as (found, caller):
            async with server(folder, tmp_path / "first.log") as process:
                await shown(found, stale=False, whole=10)
                await caller.size(50)
                await shown(found, stale=False, whole=50)
                os.killpg(process.pid, signal.SIGSTOP)
                begun_s = stopwatch_s()
                await shown(found, stale=True, whole=50)
                frozen_s = stopwatch_s() - begun_s
                os.killpg(process.pid, signal.SIGCONT)
                await shown(found, stale=False, whole=50)
                os.killpg(process.pid, signal.SIGKILL)
                begun_s = stopwatch_s()
                await shown(found, stale=True, whole=50)
                killed_s = stopwatch_s() - begun_s
            async with server(folder, tmp_path / "second.log"):
                await shown(found, stale=False, whole=50)
                assert (await caller.size(51)) == 2
                await shown(found, stale=False, whole=51)
    tell("a frozen config server is flagged after, s", round(frozen_s, 2))
    tell("a killed config server is flagged after, s", round(killed_s, 2))
    assert frozen_s < FLAGGED_WITHIN_S
