"""The connections that a process has, counted where the kernel lists them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from tandemkit.rpc import channel
from tandemkit.rpc.client import mesh
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.testing import probe
from tests.unit.tandemkit.rpc.probed import Probe
from tests.unit.tandemkit.rpc.relayed import ProbeStub

USERS = 8
_ESTABLISHED = "01"


@asynccontextmanager
async def answering(port: int = 0) -> AsyncIterator[int]:
    """A server of the probe, and its port."""
    server = Server()
    server.mount(Contract.of(probe.DESCRIPTOR), Probe())
    try:
        yield await server.start(f"127.0.0.1:{port}")
    finally:
        await server.drain(0)


def connections(port: int) -> int:
    """How many the kernel knows to that port, of whichever family gRPC took."""
    files = (Path("/proc/net") / name for name in ("tcp", "tcp6"))
    lines = (line for file in files for line in file.read_text("ascii").splitlines()[1:])
    ends = (line.split()[2:4] for line in lines)
    return sum(int(to[-4:], 16) == port and state == _ESTABLISHED for to, state in ends)


async def ask(wire: grpc.aio.Channel) -> str:
    answer = await ProbeStub(wire).Echo(probe.ProbeRequest(text="hello"), wait_for_ready=True)
    text: str = answer.text
    return text


async def test_m027_users_of_a_target_share_one_connection() -> None:
    """Channels of their own cost each user a connection; the shared one costs all of them one,
    which is gone behind the last.
    """
    opened, evicted = channel.ACCOUNT.opened, channel.ACCOUNT.evicted
    async with answering() as port:
        async with AsyncExitStack() as stack:
            for _ in range(USERS):
                own = grpc.aio.insecure_channel(
                    f"127.0.0.1:{port}", (("grpc.use_local_subchannel_pool", 1),)
                )
                await ask(await stack.enter_async_context(own))
            assert connections(port) == USERS
        async with AsyncExitStack() as stack:
            for _ in range(USERS):
                users = await stack.enter_async_context(mesh(f"127.0.0.1:{port}"))
                await users.stub(ask)
            assert connections(port) == 1
            assert channel.in_use() == (1, 0)
        assert channel.in_use() == (0, 0)
    counted = channel.ACCOUNT.opened - opened, channel.ACCOUNT.evicted - evicted
    assert counted == (1, 1)


async def test_m027_a_connection_that_carries_nothing_is_closed_and_comes_back() -> None:
    """The channel is idle then, and its next call finds the server again."""
    async with answering() as port, channel.opened(f"127.0.0.1:{port}", idle_ms=1000) as wire:
        assert await ask(wire) == "hello"
        assert connections(port) == 1
        async with asyncio.timeout(20):
            while (state := wire.get_state()) is not grpc.ChannelConnectivity.IDLE:
                await wire.wait_for_state_change(state)
        assert connections(port) == 0
        assert await ask(wire) == "hello"
        assert connections(port) == 1


async def test_m027_a_channel_finds_its_peer_again_after_a_restart() -> None:
    """Nobody opens it anew: the next call waits until the server is there."""
    async with AsyncExitStack() as life, AsyncExitStack() as stack:
        port = await life.enter_async_context(answering())
        wire = await stack.enter_async_context(channel.shared(f"127.0.0.1:{port}"))
        assert await ask(wire) == "hello"
        await life.aclose()
        with pytest.raises(grpc.aio.AioRpcError):
            await ProbeStub(wire).Echo(probe.ProbeRequest(text="hello"))
        async with answering(port):
            assert await ask(wire) == "hello"
            assert connections(port) == 1


@pytest.mark.parametrize(
    ("target", "pings", "expected"),
    [
        ("10.8.0.2:8202", True, True),
        ("gpu.example:8202", True, True),
        ("127.0.0.1:8202", True, False),
        ("[::1]:8202", True, False),
        ("localhost:8202", True, False),
        ("unix:/run/host.sock", True, False),
        ("xds:///tandem", True, True),
        ("xds:///tandem", False, False),
    ],
)
def test_only_a_link_that_can_die_is_pinged(target: str, pings: bool, expected: bool) -> None:
    """A fleet that rested on one laptop sent 24 pings a second, each of which woke two."""
    said = dict(channel.options(target, pings=pings))
    assert ("grpc.keepalive_time_ms" in said) == expected
    assert said["grpc.max_reconnect_backoff_ms"] == 2000
