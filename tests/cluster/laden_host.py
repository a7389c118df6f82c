"""A server whose every call costs its loop what the request says, as a process; without a guard it
is what it would be if it let everybody in.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import signal
import sys
import time
from typing import Any

import uvloop

from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.testing import probe


class Laden:
    """`text` is the milliseconds of processor time that a call takes: agents that parse, render or
    reckon are like that.
    """

    async def Echo(self, request: Any, _context: Any) -> Any:
        until_s = time.thread_time() + float(request.text) / 1e3
        while time.thread_time() < until_s:
            pass
        return probe.ProbeResponse(text=request.text)

    Narrow = Collect = Echo

    async def Tail(self, request: Any, context: Any) -> Any:
        yield await self.Echo(request, context)

    Burst = Chat = Tail


async def _serve(*, guarded: bool) -> None:
    server = Server()
    if not guarded:
        server.turns.look_at_s = math.inf
    server.mount(Contract.of(probe.DESCRIPTOR), Laden())
    port = await server.start("127.0.0.1:0")
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await server.drain(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unguarded", action="store_true")
    uvloop.run(_serve(guarded=not parser.parse_args().unguarded))
