"""An agent as a process of its own, as its .pex would run it: to be killed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import grpc

from tandemkit.core.token import FILE_NAME, Token
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.tokens import shown


@asynccontextmanager
async def living(
    module: ModuleType, folder: Path, settings: Mapping[str, object]
) -> AsyncIterator[tuple[Process, grpc.aio.Channel]]:
    """The agent that `module` declares, with these settings. The same folder again is its next
    life; a socket's path has to fit into it. It may not serve yet: wait for it with the first call.
    """
    address, file = f"unix:{folder}/agent.sock", folder / "settings.json"
    file.write_text(json.dumps({module.AGENT.name: dict(settings)}), "utf-8")
    argv = (
        *(sys.executable, "-c", f"from {module.__name__} import main; main()"),
        *("--listen", address, "--state", str(folder / "state")),
        *("--settings", str(file), "--token-file", str(folder / FILE_NAME)),
    )
    command = Command(argv, folder / "log", env={"PYTHONPATH": os.pathsep.join(sys.path)})
    async with (
        supervised_process(command) as process,
        shown(address, Token.kept(folder / FILE_NAME)) as channel,
    ):
        yield process, channel
