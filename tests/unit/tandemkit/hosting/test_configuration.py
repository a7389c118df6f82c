"""What an agent knows of its configuration while the config server answers, and while not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from tandem.platform.v1 import config_server_service_pb2 as pb
from tandem.platform.v1 import config_server_service_pb2_grpc as rpc
from tandem.platform.v1 import config_value_pb2 as nouns
from tandemkit.core.clock import SystemClock, stopwatch_s
from tandemkit.hosting.configuration import Configuration, Unconfigured
from tandemkit.rpc.channel import OPTIONS
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.parts import short_folder
from tests.unit.services.platform.config_server.config_servers import (
    GREETING,
    SIZE,
    config_server_at,
)


@asynccontextmanager
async def followed(address: str, file: Path) -> AsyncIterator[Configuration]:
    """As an agent does it; the same file again is its restart."""
    asked = pb.WatchConfigValuesRequest(prefix="gateway.")
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel, Tasks() as tasks:
        found = Configuration(rpc.ConfigServerServiceStub(channel), asked, file, SystemClock())
        await found.load()
        tasks.spawn("config", found.run())
        yield found


async def until(found: Configuration, *, stale: bool, whole: int) -> None:
    """Waits for this state, however many changes it takes."""
    async with asyncio.timeout(10):
        while not _is(found, stale=stale, whole=whole):
            await found.changed()


def _is(found: Configuration, *, stale: bool, whole: int) -> bool:
    try:
        reading = found.reading(SIZE)
    except Unconfigured:
        return False
    return (reading.stale, reading.value.whole) == (stale, whole)


async def test_m023_with_the_server_down_the_last_value_is_served_flagged_stale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also right after the client's own restart, and until the server is back."""
    file = tmp_path / "config.copy"
    with short_folder() as sockets:
        address = f"unix:{sockets}/config"
        async with followed(address, file) as found:
            with pytest.raises(Unconfigured):
                await found.known()
            async with config_server_at(address, tmp_path / "state") as caller:
                await until(found, stale=False, whole=10)
                begun_s = stopwatch_s()
                await caller.size(50)
                await until(found, stale=False, whole=50)
                took_ms = (stopwatch_s() - begun_s) * 1000
            await until(found, stale=True, whole=50)
        async with followed(address, file) as found:
            await found.known()
            reading = found.reading(SIZE)
            assert (reading.value.whole, reading.stale, reading.version) == (50, True, 1)
            assert reading.origin.layer == nouns.CONFIG_LAYER_OVERRIDE
            assert reading.told <= SystemClock().now()
            async with config_server_at(address, tmp_path / "state") as caller:
                await until(found, stale=False, whole=50)
                await caller.clear(SIZE)
                await until(found, stale=False, whole=10)
    with capsys.disabled():
        sys.stdout.write(f"\na change reaches a follower, on disk, in {took_ms:.1f} ms")


async def test_a_damaged_copy_counts_for_nothing(tmp_path: Path) -> None:
    """Nobody is served what nobody told."""
    file = tmp_path / "config.copy"
    file.write_bytes(b"\xff\xff")
    with short_folder() as sockets:
        async with followed(f"unix:{sockets}/config", file) as found:
            with pytest.raises(Unconfigured):
                found.reading(SIZE)


async def test_a_key_without_a_value_is_told_as_such(tmp_path: Path) -> None:
    """A copy that was made for other keys is not taken for these."""
    file = tmp_path / "config.copy"
    copy = nouns.ConfigCopy(entries=[nouns.ConfigEntry(key=GREETING)], prefix="gateway.")
    copy.told_time.GetCurrentTime()
    file.write_bytes(copy.SerializeToString())
    with short_folder() as sockets:
        async with followed(f"unix:{sockets}/config", file) as found:
            await found.known()
            with pytest.raises(Unconfigured, match="no value here"):
                found.reading(GREETING)
        copy.prefix = "web."
        file.write_bytes(copy.SerializeToString())
        async with followed(f"unix:{sockets}/config", file) as found:
            with pytest.raises(Unconfigured):
                await found.known()
