from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandemkit.rpc.server import Server
from tandemkit.testing import probe
from tests.unit.tandemkit.rpc.probed import probed

STATUS = health_pb2.HealthCheckResponse


@asynccontextmanager
async def asked() -> AsyncIterator[tuple[Server, Any]]:
    async with probed() as it:
        yield it.server, health_pb2_grpc.HealthStub(it.channel)


def about(service: str) -> health_pb2.HealthCheckRequest:
    return health_pb2.HealthCheckRequest(service=service)


async def test_a_mounted_agent_does_not_serve_until_told() -> None:
    """The service and the whole server are NOT_SERVING before, and SERVING after."""
    async with asked() as (server, health):
        for service in (probe.SERVICE, ""):
            assert (await health.Check(about(service))).status == STATUS.NOT_SERVING
        server.health.put(probe.SERVICE, serving=True)
        for service in (probe.SERVICE, ""):
            assert (await health.Check(about(service))).status == STATUS.SERVING


async def test_the_whole_serves_only_while_every_agent_does() -> None:
    """One agent that is unwell shows in the answer for the whole server, and its neighbour stays
    SERVING.
    """
    async with asked() as (server, health):
        server.health.put(probe.SERVICE, serving=True)
        server.health.put("tandem.probe.v1.OtherService", serving=False)
        assert (await health.Check(about(""))).status == STATUS.NOT_SERVING
        assert (await health.Check(about(probe.SERVICE))).status == STATUS.SERVING


async def test_an_unknown_service_is_not_found() -> None:
    """Check answers NOT_FOUND, as the health protocol says."""
    async with asked() as (_, health):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await health.Check(about("nobody"))
    assert failed.value.code() == grpc.StatusCode.NOT_FOUND


async def test_watch_sends_the_state_and_every_change() -> None:
    """A watcher of an unknown service hears of it once it is there."""
    async with asked() as (server, health):
        call = health.Watch(about("later"))
        assert (await call.read()).status == STATUS.SERVICE_UNKNOWN
        server.health.put("later", serving=True)
        assert (await call.read()).status == STATUS.SERVING
        server.health.put("later", serving=False)
        assert (await call.read()).status == STATUS.NOT_SERVING


async def test_a_watcher_that_leaves_takes_no_other_with_it() -> None:
    """Two watch the same service; one hangs up; the other still hears the change."""
    async with asked() as (server, health):
        leaver, stayer = health.Watch(about(probe.SERVICE)), health.Watch(about(probe.SERVICE))
        for call in (leaver, stayer):
            assert (await call.read()).status == STATUS.NOT_SERVING
        leaver.cancel()
        with pytest.raises(BaseException):  # noqa: B017  cancelled, in whichever form
            await leaver.read()
        server.health.put(probe.SERVICE, serving=True)
        assert (await stayer.read()).status == STATUS.SERVING


async def test_draining_says_so_and_ends_the_watch() -> None:
    """Watchers hear NOT_SERVING and then the end, so that they hold no drain up."""
    async with asked() as (server, health):
        server.health.put(probe.SERVICE, serving=True)
        call = health.Watch(about(probe.SERVICE))
        assert (await call.read()).status == STATUS.SERVING
        await server.drain(grace_s=60)
        assert (await call.read()).status == STATUS.NOT_SERVING
        assert await call.read() is grpc.aio.EOF


async def test_a_draining_server_cannot_be_told_to_serve() -> None:
    """A probe that comes late does not bring callers back."""
    server = Server()
    server.health.put(probe.SERVICE, serving=True)
    server.health.drain()
    server.health.put(probe.SERVICE, serving=True)
    assert not server.health.serving(probe.SERVICE)
