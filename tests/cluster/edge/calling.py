"""Callers of the edge that are no gRPC library."""

from __future__ import annotations

import asyncio
import subprocess

from tandemkit.testing import probe
from tandemkit.testing.parts import demand


async def grpcurl(*arguments: str) -> tuple[str, str]:
    """What it prints, and what it complains of."""
    argv = (str(demand("grpcurl")["grpcurl"]), "-max-time", "20", *arguments)
    done = await asyncio.to_thread(
        subprocess.run, argv, env={}, capture_output=True, text=True, check=False
    )
    return done.stdout, done.stderr


def ask(text: str = "hello") -> bytes:
    """A request, as it travels."""
    wire: bytes = probe.ProbeRequest(text=text).SerializeToString()
    return wire
