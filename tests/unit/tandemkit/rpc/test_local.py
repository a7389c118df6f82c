"""When a call stays in the process. What it then does is in tests/contract/calls."""

from __future__ import annotations

import asyncio
import gc
import weakref
from dataclasses import replace
from typing import Any

import grpc
import pytest

from tandemkit.rpc.contract import Contract
from tandemkit.rpc.local import LocalAgents, LocalMethod
from tandemkit.rpc.server import Server
from tandemkit.testing import probe
from tests.unit.tandemkit.rpc.probed import Probe, probed

ECHO = probe.path("Echo")


def mounted(servicer: Probe | None = None) -> Server:
    server = Server()
    server.mount(Contract.of(probe.DESCRIPTOR), servicer or Probe())
    server.health.put(probe.SERVICE, serving=True)
    return server


async def test_an_agent_that_serves_is_called_where_it_is() -> None:
    """The handler runs for a server that listens nowhere."""
    way = mounted().local.way(ECHO)
    assert way is not None
    assert (await way(probe.ProbeRequest(text="near"))).text == "near"


async def test_an_agent_that_is_not_here_is_called_elsewhere() -> None:
    """A path that no mounted contract has is the mesh's."""
    assert mounted().local.way("/tandem.probe.v1.OtherService/Echo") is None


async def test_an_agent_that_does_not_serve_is_called_elsewhere() -> None:
    """The way follows health, there and back."""
    server = mounted()
    server.health.put(probe.SERVICE, serving=False)
    assert server.local.way(ECHO) is None
    server.health.put(probe.SERVICE, serving=True)
    assert server.local.way(ECHO) is not None


async def test_a_draining_server_is_not_called() -> None:
    """Whoever drains sends its own callers away too."""
    async with probed(server := Server()):
        server.health.put(probe.SERVICE, serving=True)
        await server.drain(0)
        assert server.local.way(ECHO) is None


async def test_policy_sends_calls_elsewhere() -> None:
    """While policy has something to say for a service, its calls pass where policy is applied; but
    for those of whoever makes the mesh.
    """
    server = mounted()
    server.local.permit(lambda service: service != probe.SERVICE)
    assert server.local.way(ECHO) is None
    assert server.local.inside(ECHO) is not None
    server.local.permit(lambda _service: True)
    assert server.local.way(ECHO) is not None


async def test_policy_holds_for_an_agent_that_is_mounted_later() -> None:
    """It was told for the service, not for what was there."""
    server = Server()
    server.local.permit(lambda service: service != probe.SERVICE)
    server.mount(Contract.of(probe.DESCRIPTOR), Probe())
    server.health.put(probe.SERVICE, serving=True)
    assert server.local.way(ECHO) is None


async def test_a_caller_with_an_affinity_goes_through_the_mesh() -> None:
    """The header's hash names the instance that has the caller's state, which may be another."""
    method = Contract.of(probe.DESCRIPTOR).methods[0]
    local = LocalAgents(serving=lambda _service: True)

    async def answer(request: Any, _context: Any) -> Any:
        return request

    local.put(LocalMethod(replace(method, affinity="x-session"), method.request.FromString, answer))
    assert local.way(method.path) is None


async def test_a_caller_who_names_an_instance_goes_through_the_mesh() -> None:
    """Only the mesh knows where the instances are, and what they are called."""
    local = mounted().local
    assert local.way(ECHO, (("traceparent", "00"),)) is not None
    assert local.way(ECHO, (("x-tandem-instance", "probe-probe-odd"),)) is None


async def test_a_caller_on_another_loop_goes_through_the_mesh() -> None:
    """A handler runs on the loop of its server alone."""
    server = mounted()

    async def ask() -> bool:
        return server.local.way(ECHO) is None

    assert await asyncio.to_thread(asyncio.run, ask())


async def test_reading_and_iterating_do_not_mix() -> None:
    """A call is read in one style, as one over gRPC is."""
    server = mounted()
    way = server.local.way(probe.path("Tail"))
    assert way is not None
    read, iterated = (way(probe.ProbeRequest(text="x")) for _ in range(2))
    await read.read()
    with pytest.raises(grpc.aio.UsageError, match="may not be mixed"):
        aiter(read)
    await anext(aiter(iterated))
    with pytest.raises(grpc.aio.UsageError, match="may not be mixed"):
        await iterated.read()


async def test_a_call_leaves_nothing_for_the_collector() -> None:
    """No part of a call holds itself in a circle: what is over is gone at once."""
    contexts: list[weakref.ref[Any]] = []

    class Noting(Probe):
        async def Echo(self, request: Any, context: Any) -> Any:
            contexts.append(weakref.ref(context))
            return await super().Echo(request, context)

    server = mounted(Noting())
    way = server.local.way(ECHO)
    assert way is not None
    gc.disable()
    try:
        await way(probe.ProbeRequest(text="x"), timeout=60, metadata=(("key", "value"),))
        await server.local.drain(60)
        assert contexts[0]() is None
    finally:
        gc.enable()


async def test_a_handler_knows_that_its_caller_is_near() -> None:
    """The peer says so, where a log line would name an address."""
    peers: list[str] = []

    class Curious(Probe):
        async def Echo(self, request: Any, context: Any) -> Any:
            peers.append(context.peer())
            return await super().Echo(request, context)

    way = mounted(Curious()).local.way(ECHO)
    assert way is not None
    await way(probe.ProbeRequest(text="x"))
    assert peers[0].startswith("in-process:")
