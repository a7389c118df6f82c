"""The file digest agent, as its callers meet it: through the Go host."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tandem.fleet.v1.plan_pb2 import PlannedHost
from tandem.polyglot.config.v1 import file_digest_pb2 as cfg
from tandem.polyglot.v1 import file_digest_service_pb2 as pb
from tandem.polyglot.v1 import file_digest_service_pb2_grpc as rpc
from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.failures import Failure, failure_of
from tandemkit.testing.parts import short_folder
from tests.polyglot.going import go_host

# The first of them may have to wait for Go.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

_PIECE_BYTES = 1 << 20
_MIB = 1 << 20
_NUMBERS = itertools.count()


@asynccontextmanager
async def agent(folder: Path, **settings: int) -> AsyncIterator[tuple[Any, Process]]:
    """The agent in a host without a fleet, that lets everybody in."""
    plan = PlannedHost(name="go")
    planned = plan.agents.add(
        name="polyglot-file-digest",
        service=pb.DESCRIPTOR.services_by_name["FileDigestService"].full_name,
    )
    planned.settings.Pack(cfg.FileDigestSettings(**settings))
    # gRPC keeps a pause for an address that did not answer.
    socket = folder / f"socket-{next(_NUMBERS)}"
    file = folder / "plan.binpb"
    file.write_bytes(plan.SerializeToString())
    program = str((await go_host()).program)
    argv = (program, str(file), "--listen", f"unix:{socket}", "--open", "--state", str(folder))
    command = Command(argv, socket.with_suffix(".log"))

    async def ready() -> None:
        assert "host.serving" in command.log_path.read_text()

    async with (
        supervised_process(command, ready=ready, ready_within_s=20.0) as process,
        grpc.aio.insecure_channel(f"unix:{socket}") as channel,
    ):
        yield rpc.FileDigestServiceStub(channel), process


@pytest.fixture
async def stub() -> AsyncIterator[Any]:
    with short_folder() as folder:
        async with agent(folder) as (stub, _process):
            yield stub


def content_of(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def pieces(content: bytes, **start: Any) -> Iterator[pb.DigestFileRequest]:
    yield pb.DigestFileRequest(start=pb.DigestFileRequest.Start(**start))
    for place in range(0, len(content), _PIECE_BYTES):
        yield piece(place, content[place : place + _PIECE_BYTES])


def piece(offset: int, content: bytes) -> pb.DigestFileRequest:
    made = pb.DigestFileRequest.Piece(offset_bytes=offset, content=content)
    return pb.DigestFileRequest(piece=made)


async def failed(call: Any) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return failure_of(refused.value)


async def test_m017_a_go_agent_digests_and_deduplicates(stub: Any) -> None:
    """What changed in a file is all of it that is new, and the digests are the world's."""
    first = content_of(1, 8 * _MIB)
    told = await stub.DigestFile(pieces(first, name="files/a", with_blake3=True))
    assert told.sha256 == hashlib.sha256(first).digest()
    assert (told.size_bytes, told.known_bytes, len(told.blake3)) == (8 * _MIB, 0, 32)
    # Bytes that are put in move all that follow, and no cut but those around them.
    second = first[: 3 * _MIB] + b"put in" + first[3 * _MIB :]
    told = await stub.DigestFile(pieces(second, name="files/b"))
    assert told.sha256 == hashlib.sha256(second).digest()
    assert told.known_share > 0.9
    assert told.parts_count - told.known_parts_count <= 3
    sums = await stub.DescribeIndex(pb.DescribeIndexRequest())
    assert (sums.files_count, sums.files_bytes) == (2, len(first) + len(second))
    assert sums.parts_bytes == len(first) + told.size_bytes - told.known_bytes


async def test_parts_are_listed_page_by_page(stub: Any) -> None:
    """They are the file without a gap, and FindParts knows each of them."""
    content = content_of(2, 4 * _MIB)
    told = await stub.DigestFile(pieces(content, name="files/a"))
    parts, token = [], ""
    while True:
        request = pb.ListPartsRequest(name="files/a", page_size=7, page_token=token)
        page = await stub.ListParts(request)
        parts += page.parts
        token = page.next_page_token
        if not token:
            break
    assert len(parts) == told.parts_count
    place = 0
    for one in parts:
        assert (one.offset_bytes, one.was_known) == (place, False)
        place += one.size_bytes
    assert place == len(content)
    digests = [one.blake3 for one in parts]
    found = await stub.FindParts(pb.FindPartsRequest(blake3=[*digests, b"x" * 32]))
    assert list(found.known) == [True] * len(parts) + [False]


async def test_a_forgotten_file_takes_its_own_parts_with_it(stub: Any) -> None:
    """Those that another file has stay."""
    shared, own = content_of(3, 2 * _MIB), content_of(4, 2 * _MIB)
    await stub.DigestFile(pieces(shared, name="files/a"))
    await stub.DigestFile(pieces(shared + own, name="files/b"))
    told = await stub.ForgetFile(pb.ForgetFileRequest(name="files/b"))
    assert (told.was_so_already, told.forgotten_parts_count > 0) == (False, True)
    assert (await stub.ForgetFile(pb.ForgetFileRequest(name="files/b"))).was_so_already
    again = await stub.DigestFile(pieces(shared))
    assert again.known_share == 1.0
    sums = await stub.DescribeIndex(pb.DescribeIndexRequest())
    assert (sums.files_count, sums.parts_bytes) == (1, len(shared))


async def test_a_name_is_taken_over(stub: Any) -> None:
    """Digesting under a name that is taken leaves one file, and counts no part twice."""
    for seed in (5, 6):
        await stub.DigestFile(pieces(content_of(seed, _MIB), name="files/a"))
    sums = await stub.DescribeIndex(pb.DescribeIndexRequest())
    assert (sums.files_count, sums.files_bytes, sums.parts_bytes) == (1, _MIB, _MIB)


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ([], "STREAM_OUT_OF_ORDER"),
        ([piece(0, b"a")], "STREAM_OUT_OF_ORDER"),
        ([*pieces(b"ab"), piece(5, b"c")], "STREAM_OUT_OF_ORDER"),
        ([*pieces(b"ab"), *pieces(b"")], "STREAM_OUT_OF_ORDER"),
        ([*pieces(b"ab", size_bytes=1)], "CONTENT_DIFFERS"),
        ([*pieces(b"ab", size_bytes=3)], "CONTENT_DIFFERS"),
        ([*pieces(b"ab", sha256=b"x" * 32)], "CONTENT_DIFFERS"),
        ([*pieces(b"ab", sha256=b"x")], "INVALID_REQUEST"),
        ([*pieces(b"ab", name="a/../b")], "INVALID_REQUEST"),
        ([*pieces(b"", size_bytes=1 << 40)], "TOO_LARGE"),
    ],
)
async def test_a_stream_that_is_wrong_leaves_nothing(
    stub: Any, requests: list[pb.DigestFileRequest], reason: str
) -> None:
    """The caller is told why, and the index is as it was."""
    for one in requests[:1]:
        if one.HasField("start") and not one.start.name:
            one.start.name = "files/a"
    found = await failed(stub.DigestFile(iter(requests)))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    sums = await stub.DescribeIndex(pb.DescribeIndexRequest())
    assert (sums.files_count, sums.parts_count) == (0, 0)


async def test_a_cancelled_stream_leaves_nothing(stub: Any) -> None:
    """However much of it came."""
    call = stub.DigestFile()
    for one in pieces(content_of(7, 2 * _MIB), name="files/a"):
        await call.write(one)
    call.cancel()
    sums = await stub.DescribeIndex(pb.DescribeIndexRequest())
    assert (sums.files_count, sums.parts_count) == (0, 0)


async def test_limits_of_the_settings_hold() -> None:
    """A file that is too large is refused, and so is one for which the index has no room."""
    with short_folder() as folder:
        async with agent(folder, file_bytes_max=2 * _MIB, files_max=1) as (stub, _process):
            found = await failed(stub.DigestFile(pieces(content_of(8, 3 * _MIB))))
            assert (found.reason, found.metadata) == (
                "TOO_LARGE",
                {"file_bytes_max": str(2 * _MIB)},
            )
            await stub.DigestFile(pieces(content_of(9, _MIB), name="files/a"))
            found = await failed(stub.DigestFile(pieces(content_of(10, _MIB), name="files/b")))
            assert (found.code, found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "INDEX_FULL")
            await stub.DigestFile(pieces(content_of(10, _MIB), name="files/a"))


async def test_an_absent_file_is_not_found(stub: Any) -> None:
    """By a listing."""
    found = await failed(stub.ListParts(pb.ListPartsRequest(name="files/a")))
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "FILE_NOT_FOUND")


async def test_the_index_outlives_a_killed_process() -> None:
    """What was answered is there, and what was under way is not."""
    content = content_of(11, 4 * _MIB)
    with short_folder() as folder:
        async with agent(folder) as (stub, process):
            await stub.DigestFile(pieces(content, name="files/a"))
            call = stub.DigestFile()
            for one in pieces(content_of(12, _MIB), name="files/b"):
                await call.write(one)
            process.kill()
            await failed(call)
        async with agent(folder) as (stub, _process):
            sums = await stub.DescribeIndex(pb.DescribeIndexRequest())
            assert (sums.files_count, sums.parts_bytes) == (1, len(content))
            assert (await stub.DigestFile(pieces(content))).known_share == 1.0
