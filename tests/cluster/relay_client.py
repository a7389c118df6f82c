"""Stands between a test and the mesh: a process that passes unary calls on to `xds:///tandem`, as a
stock client which shows the fleet's token. It reads its bootstrap from the environment, once.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc

from tests.cluster.load import channel_to

_PASSED_ON = "x-tandem-"
_WITHIN_S = 30.0


class Relay(grpc.GenericRpcHandler):
    """Any method of any agent."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def service(self, call: grpc.HandlerCallDetails) -> Any:
        path = call.method

        async def answer(request: bytes, context: Any) -> Any:
            told = context.invocation_metadata() or ()
            headers = [(key, value) for key, value in told if key.startswith(_PASSED_ON)]
            ask: Any = self._channel.unary_unary(path)
            try:
                return await ask(request, metadata=headers, timeout=_WITHIN_S)
            except grpc.aio.AioRpcError as error:
                trailers = tuple(iter(error.trailing_metadata() or ()))
                await context.abort(error.code(), error.details() or "", trailers)

        return grpc.unary_unary_rpc_method_handler(answer)


async def serve(address: str, target: str) -> None:
    async with channel_to(target, is_stock=True) as channel:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Relay(channel),))
        server.add_insecure_port(address)
        await server.start()
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
