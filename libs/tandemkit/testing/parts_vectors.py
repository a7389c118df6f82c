"""A real Chroma for a test's lifetime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import demand, fetch, free_ports, short_folder


@asynccontextmanager
async def chroma_server() -> AsyncIterator[str]:
    """Its URL; it keeps what it is told in a folder that goes with it. Skips where Chroma is
    absent.
    """
    program = demand("chroma")["chroma"]
    with short_folder() as folder:
        (port,) = free_ports(1)
        url = f"http://127.0.0.1:{port}"
        listen = ("--host", "127.0.0.1", "--port", str(port), "--path", str(folder / "state"))
        quiet = {"ANONYMIZED_TELEMETRY": "False", "CHROMA_OTEL_ENABLED": "False"}

        async def ready() -> None:
            await fetch(f"{url}/api/v2/heartbeat")

        command = Command((str(program), "run", *listen), folder / "log", env=quiet)
        async with supervised_process(command, ready=ready):
            yield url
