"""The agent over gRPC, with what tests say to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from services.memory.cache.agent import AGENT
from tandem.memory.config.v1 import cache_pb2 as cfg
from tandem.memory.v1 import cache_service_pb2 as pb
from tandem.memory.v1 import cache_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import Failure, failure_of

# Of a class that no server refuses, however busy the machine of the tests is.
URGENT = (("x-tandem-priority", "interactive"),)


@asynccontextmanager
async def cache(
    folder: Path, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[rpc.CacheServiceAsyncStub]:
    """One replica; the same folder again is a restart."""
    said = cfg.CacheSettings(**settings)
    async with serving(AGENT, settings=said, state_dir=folder, clock=clock) as channel:
        stub: rpc.CacheServiceAsyncStub = rpc.CacheServiceStub(channel)
        yield stub


async def get(stub: rpc.CacheServiceAsyncStub, key: str = "k", **said: Any) -> pb.GetEntryResponse:
    """`wait_ms` and `term_ms` are durations; gRPC ends it after 20 s."""
    request = pb.GetEntryRequest(key=key)
    if "wait_ms" in said:
        request.wait.FromMilliseconds(said.pop("wait_ms"))
    if "term_ms" in said:
        request.fill_term.FromMilliseconds(said.pop("term_ms"))
    request.MergeFrom(pb.GetEntryRequest(**said))
    return await stub.GetEntry(request, timeout=20, metadata=URGENT)


async def put(
    stub: rpc.CacheServiceAsyncStub, key: str = "k", value: bytes = b"v", **said: Any
) -> pb.PutEntryResponse:
    """`ttl_ms` is a duration."""
    request = pb.PutEntryRequest(key=key, value=value)
    if "ttl_ms" in said:
        request.ttl.FromMilliseconds(said.pop("ttl_ms"))
    request.MergeFrom(pb.PutEntryRequest(**said))
    return await stub.PutEntry(request)


async def refused(call: Awaitable[object]) -> Failure | None:
    """How it failed; None where it did not."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return failure_of(error)
    return None


async def reason_of(call: Awaitable[object]) -> str:
    """Why it failed; empty where it did not."""
    failure = await refused(call)
    return failure.reason if failure is not None else ""
