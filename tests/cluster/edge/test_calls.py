"""The edge as clients without xDS see it: grpcurl, a browser's gRPC-Web, TLS, and who may not."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.hosting.edge import RunningEdge
from tandemkit.rpc import failure
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.testing import probe
from tandemkit.testing.parts import fetch
from tests.cluster.edge.calling import ask, grpcurl
from tests.cluster.edge.web import frames, whole
from tests.contract.calls.edge_path import edged
from tests.contract.calls.scripted import Scripted, said

pytestmark = [pytest.mark.cluster, pytest.mark.real("envoy")]
HOME = "https://home.test"
HEALTH = "/grpc.health.v1.Health"
TOO_LONG = probe.ProbeRequest(text="x" * (probe.TEXT_CHARS_MAX + 1))


@asynccontextmanager
async def standing(**more: Any) -> AsyncIterator[tuple[Scripted, RunningEdge]]:
    """An agent that does what the test says, behind an edge."""
    agent, server = Scripted(), Server()
    server.mount(Contract.of(probe.DESCRIPTOR), agent)
    server.health.put(probe.SERVICE, serving=True)
    try:
        async with edged(server, **more) as running:
            yield agent, running
    finally:
        await server.drain(0)


@pytest.mark.real("grpcurl")
async def test_a_plain_grpcurl_lists_describes_and_calls() -> None:
    """Without proto files, xDS or TLS: an address is all it needs."""
    async with standing() as (_, running):
        where = ("-plaintext", f"127.0.0.1:{running.port}")
        listed, _ = await grpcurl(*where, "list")
        assert {probe.SERVICE, "grpc.health.v1.Health"} <= set(listed.splitlines())
        described, _ = await grpcurl(*where, "describe", probe.SERVICE)
        assert "rpc Echo (" in described
        told, _ = await grpcurl("-d", '{"text": "hi"}', *where, f"{probe.SERVICE}/Echo")
        assert json.loads(told) == {"text": "hi"}


@pytest.mark.real("grpcurl")
async def test_typed_error_details_arrive() -> None:
    """The field that broke its rule is named to whoever calls through the edge, too."""
    async with standing() as (_, running):
        request = json.dumps({"text": TOO_LONG.text})
        where = ("-plaintext", f"127.0.0.1:{running.port}", f"{probe.SERVICE}/Echo")
        _, complaint = await grpcurl("-d", request, *where)
    assert "Code: InvalidArgument" in complaint
    assert '"reason": "INVALID_REQUEST"' in complaint
    assert '"field": "text"' in complaint


async def test_grpc_web_gets_message_and_trailers_in_the_body() -> None:
    """Over HTTP/1.1, which is all that a browser offers; a failure keeps its details."""
    async with standing() as (_, running), aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{running.port}{probe.path('Echo')}"
        message, trailers = await whole(session, url, ask("hi"))
        assert probe.ProbeResponse.FromString(message.content).text == "hi"
        assert trailers.last
        assert trailers.trailers["grpc-status"] == "0"
        async with session.post(
            url,
            data=b"\0" + TOO_LONG.ByteSize().to_bytes(4, "big") + TOO_LONG.SerializeToString(),
            headers={"content-type": "application/grpc-web+proto", "x-grpc-web": "1"},
        ) as told:
            assert told.headers["grpc-status"] == "3"
            details = told.headers[failure.DETAILS_HEADER]
        padded = details + "=" * (-len(details) % 4)
        status = Status.FromString(base64.b64decode(padded))
    assert [one.type_url.rpartition(".")[2] for one in status.details] == [
        "ErrorInfo",
        "BadRequest",
    ]


async def test_grpc_web_streams_each_message_as_it_comes() -> None:
    """The first is there while the agent still waits to send the second."""
    seen = asyncio.Event()

    async def script(_request: Any, _context: Any) -> AsyncIterator[Message]:
        yield said("one")
        await seen.wait()
        yield said("two")

    async with standing() as (agent, running), aiohttp.ClientSession() as session:
        agent.script = script
        url = f"http://127.0.0.1:{running.port}{probe.path('Tail')}"
        async with aclosing(frames(session, url, ask())) as stream:
            texts = []
            async for frame in stream:
                if not frame.last:
                    texts.append(probe.ProbeResponse.FromString(frame.content).text)
                seen.set()
    assert texts == ["one", "two"]
    assert frame.trailers["grpc-status"] == "0"


async def test_only_pages_that_were_named_may_call() -> None:
    """A page of another origin is refused, also where it bent its name to our address; one that
    was named is told so by its preflight.
    """
    async with standing(origins=(HOME,)) as (_, running), aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{running.port}{probe.path('Echo')}"
        asking = {
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type,x-grpc-web,grpc-timeout",
        }
        for origin, status in ((HOME, 200), ("https://elsewhere.test", 403)):
            async with session.options(url, headers={**asking, "origin": origin}) as told:
                assert told.status == status
                allowed = told.headers.get("access-control-allow-origin")
                assert allowed == (HOME if status == 200 else None)
            wire = {"content-type": "application/grpc-web+proto", "origin": origin}
            body = b"\0" + len(ask()).to_bytes(4, "big") + ask()
            async with session.post(url, data=body, headers=wire) as told:
                assert told.status == status
                assert told.headers.get("access-control-allow-origin") == allowed


async def test_no_page_may_call_unless_one_is_named() -> None:
    """The default: whatever a browser's page sends bears its origin and is refused."""
    async with standing() as (_, running), aiohttp.ClientSession() as session:
        own = f"http://127.0.0.1:{running.port}"
        headers = {"content-type": "application/grpc-web+proto", "origin": own}
        async with session.post(f"{own}{probe.path('Echo')}", data=b"", headers=headers) as told:
            assert told.status == 403


async def test_what_is_no_call_is_told_so() -> None:
    """A person with a browser does not reach a host."""
    async with standing() as (_, running):
        with pytest.raises(OSError, match="answered 405"):
            await fetch(f"http://127.0.0.1:{running.port}/")


async def test_a_failure_behind_the_host_is_not_tried_again() -> None:
    """Its pushback holds here as for gRPC's clients; a plain UNAVAILABLE is tried once more."""
    attempts = 0
    final = False

    async def script(_request: Any, _context: Any) -> Message:
        nonlocal attempts
        attempts += 1
        raise failure.Refused(
            failure.of_platform(
                platform.PLATFORM_ERROR_REASON_DOWNSTREAM_UNAVAILABLE, "gone", final=final
            )
        )

    async with standing() as (agent, running):
        agent.script = script
        async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
            call: Any = channel.unary_unary(probe.path("Echo"))
            for final, expected in ((False, 2), (True, 1)):
                attempts = 0
                with pytest.raises(grpc.aio.AioRpcError) as failed:
                    await call(ask())
                assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
                assert attempts == expected
                names = {name for name, _ in failed.value.trailing_metadata() or ()}
                assert (failure.PUSHBACK_HEADER in names) == final
                assert "x-envoy-ratelimited" not in names


async def test_a_caller_cannot_bend_retries_or_timeouts() -> None:
    """Envoy's own headers mean nothing from outside."""
    attempts = 0

    async def script(_request: Any, _context: Any) -> Message:
        nonlocal attempts
        attempts += 1
        raise failure.Refused(
            failure.of_platform(platform.PLATFORM_ERROR_REASON_DOWNSTREAM_UNAVAILABLE, "gone")
        )

    async with standing() as (agent, running):
        agent.script = script
        async with grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel:
            call: Any = channel.unary_unary(probe.path("Narrow"))
            headers = (("x-envoy-retry-grpc-on", "unavailable"), ("x-envoy-max-retries", "5"))
            with pytest.raises(grpc.aio.AioRpcError):
                await call(ask(), metadata=headers)
    assert attempts == 1


async def test_calls_in_progress_end_before_the_edge_does() -> None:
    """One that was under way when the edge was told to end is answered."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def script(request: Any, _context: Any) -> Any:
        entered.set()
        await leave.wait()
        return said(request.text)

    async with standing() as (agent, running):
        agent.script = script
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{running.port}")
        method: Any = channel.unary_unary(probe.path("Echo"))
        call = method(ask("late"))
        await entered.wait()
        asyncio.get_running_loop().call_later(0.5, leave.set)
    assert probe.ProbeResponse.FromString(await call).text == "late"
    await channel.close()


async def test_health_is_asked_at_the_same_address() -> None:
    """The group in front answers what belongs to no agent."""
    async with (
        standing() as (_, running),
        grpc.aio.insecure_channel(f"127.0.0.1:{running.port}") as channel,
    ):
        health: Any = channel.unary_unary(f"{HEALTH}/Check")
        asked = health_pb2.HealthCheckRequest(service=probe.SERVICE).SerializeToString()
        told = health_pb2.HealthCheckResponse.FromString(await health(asked))
    assert told.status == health_pb2.HealthCheckResponse.SERVING
