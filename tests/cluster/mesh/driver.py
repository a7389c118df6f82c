"""A gRPC client as a process of its own, for it reads its bootstrap from the environment once; it
is stock unless told otherwise. It makes the calls that a test asks for, over a socket, and counts
how they end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import grpc

from tandemkit.core.clock import SystemClock
from tandemkit.rpc import admin
from tandemkit.rpc.streams import Streams
from tests.cluster.load import Calls, Load, channel_to

RUN, MADE, UNTIL, STOP = "/driver/Run", "/driver/Made", "/driver/Until", "/driver/Stop"
STOCK, OURS = "stock", "ours"
_LOOKS_PER_S = 50
_CLOCK = SystemClock()


class Driver:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._loads: list[Load] = []

    async def run(self, wire: bytes, _context: Any) -> bytes:
        load = Load(self._channel, Calls(**json.loads(wire)))
        self._loads.append(load)
        return json.dumps(vars(await load.run())).encode()

    async def made(self, _wire: bytes, _context: Any) -> bytes:
        return json.dumps(sum(one.made for one in self._loads)).encode()

    async def stop(self, _wire: bytes, _context: Any) -> bytes:
        """Every run ends with the calls that are under way."""
        for one in self._loads:
            one.stop()
        return b""

    async def until(self, wire: bytes, _context: Any) -> bytes:
        """When a call was first answered by the one that is named, calling until then."""
        path, answering = json.loads(wire)
        while answering not in (await Load(self._channel, Calls(path, 1)).run()).answers:
            await _CLOCK.sleep(1 / _LOOKS_PER_S)
        return json.dumps(_CLOCK.monotonic_s()).encode()


async def serve(address: str, target: str, kind: str = STOCK) -> None:
    async with channel_to(target, is_stock=kind == STOCK) as channel:
        driver = Driver(channel)
        server = grpc.aio.server()
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Run": grpc.unary_unary_rpc_method_handler(driver.run),
            "Made": grpc.unary_unary_rpc_method_handler(driver.made),
            "Stop": grpc.unary_unary_rpc_method_handler(driver.stop),
            "Until": grpc.unary_unary_rpc_method_handler(driver.until),
        }
        driven = grpc.method_handlers_generic_handler("driver", methods)
        server.add_generic_rpc_handlers((driven, *admin.handlers(Streams())))
        server.add_insecure_port(address)
        await server.start()
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
