"""Callers of the edge that are no gRPC library."""

from __future__ import annotations

import asyncio
import subprocess

from tandemkit.core.token import Token
from tandemkit.testing import probe
from tandemkit.testing.parts import demand
from tandemkit.testing.tokens import GRPCURL_FLAGS, grpcurl_variables


async def grpcurl(*arguments: str, token: Token | None = None) -> tuple[str, str]:
    """What it prints, and what it complains of."""
    flags = GRPCURL_FLAGS if token else ()
    argv = (str(demand("grpcurl")["grpcurl"]), "-max-time", "20", *flags, *arguments)
    variables = grpcurl_variables(token) if token else {}
    done = await asyncio.to_thread(
        subprocess.run, argv, env=variables, capture_output=True, text=True, check=False
    )
    return done.stdout, done.stderr


def ask(text: str = "hello") -> bytes:
    """A request, as it travels."""
    wire: bytes = probe.ProbeRequest(text=text).SerializeToString()
    return wire
