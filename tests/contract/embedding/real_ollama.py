"""A real Ollama, on a port of its own and with the models that its user has pulled. It cannot be
installed by us, so it runs where somebody has put `ollama` on the PATH and pulled `all-minilm`.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tandemkit.core.environment import Environment
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import fetch, free_ports, short_folder

MODEL = "all-minilm"


def program() -> str | None:
    """None where there is none."""
    return shutil.which("ollama", path=Environment.read().path)


@asynccontextmanager
async def real_ollama(binary: str) -> AsyncIterator[str]:
    """Its address."""
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    env = {**Environment.read().variables, "OLLAMA_HOST": f"127.0.0.1:{port}"}

    async def answers() -> None:
        await fetch(f"{address}/api/version")

    with short_folder() as folder:
        command = Command((binary, "serve"), folder / "log", cwd=folder, env=env)
        async with supervised_process(command, ready=answers):
            yield address
