"""Every RPC of the toolbox answers, through a real server."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from tandem.utility.v1 import archive_pb2 as archives
from tandem.utility.v1 import calendar_pb2 as calendars
from tandem.utility.v1 import digest_pb2 as digests
from tandem.utility.v1 import toolbox_service_pb2 as service
from tandem.utility.v1 import toolbox_service_pb2_grpc as rpc
from tests.unit.services.utility.toolbox.answers import ANSWERS, KEY

# One server for all of these: they change nothing.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(("method", "request_", "field", "expected"), ANSWERS)
async def test_every_rpc_answers(
    toolbox: rpc.ToolboxServiceAsyncStub,
    method: str,
    request_: Message,
    field: str,
    expected: object,
) -> None:
    """The field looked at holds what the contract promises."""
    value = await getattr(toolbox, method)(request_)
    for name in field.split("."):
        value = getattr(value, name)
    assert (list(value) if isinstance(expected, list) else value) == expected


async def test_no_rpc_is_left_out_of_the_answers() -> None:
    """A new RPC comes with an answer above; the stream has a test of its own below."""
    methods = service.DESCRIPTOR.services_by_name["ToolboxService"].methods
    assert {method.name for method in methods} == {one[0] for one in ANSWERS} | {"DigestStream"}


async def test_a_stream_digests_as_its_bytes_do(toolbox: rpc.ToolboxServiceAsyncStub) -> None:
    """Where the client cuts makes no difference, and the bytes are counted."""
    algorithm = digests.DIGEST_ALGORITHM_SHA256
    pieces = [digests.DigestStreamRequest(content=piece) for piece in (b"a" * 20_000, b"", b"b")]
    streamed = await toolbox.DigestStream(
        iter([digests.DigestStreamRequest(algorithm=algorithm), *pieces])
    )
    content = b"".join(piece.content for piece in pieces)
    assert streamed.bytes_digested == len(content)
    whole = digests.DigestBytesRequest(content=content[:9_000], algorithm=algorithm)
    assert (await toolbox.DigestBytes(whole)).digest.value != streamed.digest.value
    empty = await toolbox.DigestStream(iter([digests.DigestStreamRequest(algorithm=algorithm)]))
    nothing = digests.DigestBytesRequest(algorithm=algorithm)
    assert empty.digest == (await toolbox.DigestBytes(nothing)).digest


async def test_what_was_signed_verifies(toolbox: rpc.ToolboxServiceAsyncStub) -> None:
    """The two RPCs agree on what a signature is."""
    algorithm = digests.DIGEST_ALGORITHM_SHA3_512
    signed = await toolbox.SignBytes(
        digests.SignBytesRequest(content=b"x", key=KEY, algorithm=algorithm)
    )
    verified = await toolbox.VerifySignature(
        digests.VerifySignatureRequest(
            content=b"x", key=KEY, algorithm=algorithm, signature=signed.signature.value
        )
    )
    assert verified.valid


async def test_all_pages_are_the_whole_list(toolbox: rpc.ToolboxServiceAsyncStub) -> None:
    """Every zone is on one page, in order, and the last page says that it is the last."""
    request = calendars.ListTimeZonesRequest(page_size=100)
    names: list[str] = []
    while True:
        page = await toolbox.ListTimeZones(request)
        names += page.time_zones
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert names == sorted(set(names))
    assert {"UTC", "Europe/Paris"} < set(names)
    whole = await toolbox.ListTimeZones(calendars.ListTimeZonesRequest(page_size=10_000))
    assert list(whole.time_zones) == names


@pytest.mark.parametrize("form", archives.ArchiveFormat.values()[1:])
async def test_archives_come_back_as_they_were_sent(
    toolbox: rpc.ToolboxServiceAsyncStub, form: archives.ArchiveFormat.ValueType
) -> None:
    """In every format."""
    entries = [
        archives.ArchiveEntry(path="d", directory=archives.ArchivedDirectory()),
        archives.ArchiveEntry(
            path="d/é", file=archives.ArchivedFile(content=bytes(20_000), executable=True)
        ),
    ]
    made = await toolbox.CreateArchive(archives.CreateArchiveRequest(entries=entries, format=form))
    back = await toolbox.ExtractArchive(
        archives.ExtractArchiveRequest(archive=made.archive, format=form)
    )
    assert list(back.entries) == entries
