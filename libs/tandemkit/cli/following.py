"""The supervisor of this home as `up` and `down` need it: also while it starts, and as it ends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import machine_service_pb2 as pb
from tandem.control.v1 import machine_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.core.token import Token
from tandemkit.machine.home import Home
from tandemkit.rpc import channel
from tandemkit.rpc.bearing import bearing

_AGAIN_S = 0.1
_CLOCK = SystemClock()


@asynccontextmanager
async def answering(home: Home) -> AsyncIterator[rpc.MachineServiceAsyncStub]:
    """A stub of it. At its socket, or where that has no room in the path, at its port."""
    if home.socket is not None:
        target = f"unix:{home.socket}"
    else:
        target = str(json.loads((home.folder / "running.json").read_text())["supervisor"])
    async with channel.shared(target) as wire:
        yield rpc.MachineServiceStub(bearing(wire, Token(home.token)))


async def machines(home: Home, clock: Clock = _CLOCK) -> AsyncIterator[nouns.Machine]:
    """The machine, and again after each change, whoever supervises it meanwhile; ends when nobody
    does, or is going to.
    """
    while True:
        try:
            async with answering(home) as stub:
                call: Any = stub.WatchMachine(pb.WatchMachineRequest())
                async for told in call:
                    yield told.machine
        except (grpc.aio.AioRpcError, FileNotFoundError):
            # It ends, or another one begins.
            pass
        if home.supervisor is None:
            return
        await clock.sleep(_AGAIN_S)
