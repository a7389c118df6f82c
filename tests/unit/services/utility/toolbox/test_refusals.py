"""Every reason of the toolbox on the wire: code, reason, and the field that is at fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tandem.utility.v1 import archive_pb2 as archives
from tandem.utility.v1 import calendar_pb2 as calendars
from tandem.utility.v1 import digest_pb2 as digests
from tandem.utility.v1 import errors_pb2 as errors
from tandem.utility.v1 import json_document_pb2 as documents
from tandem.utility.v1 import quantity_pb2 as quantities
from tandem.utility.v1 import text_pb2 as texts
from tandem.utility.v1 import toolbox_service_pb2_grpc as rpc
from tandemkit.testing.failures import Failure, failure_of
from tests.unit.services.utility.toolbox import archive_samples as samples
from tests.unit.services.utility.toolbox.requests import local, operation

# One server for all of these: they change nothing.
pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID = grpc.StatusCode.INVALID_ARGUMENT
FOREVER = Timestamp(seconds=10**12)
ZIP = archives.ARCHIVE_FORMAT_ZIP

# Reason, code, field, RPC, request.
REFUSALS: list[tuple[str, grpc.StatusCode, str, str, Message]] = [
    (
        "TOO_LARGE",
        INVALID,
        "text",
        "MeasureText",
        texts.MeasureTextRequest(text="é" * 50_001),
    ),
    (
        "PAGE_TOKEN_INVALID",
        INVALID,
        "page_token",
        "ListTimeZones",
        calendars.ListTimeZonesRequest(page_token="bm9uZQ=="),
    ),
    (
        "PATTERN_INVALID",
        INVALID,
        "pattern.expression",
        "FindMatches",
        texts.FindMatchesRequest(pattern=texts.Pattern(expression="(a")),
    ),
    (
        "TIME_UNREADABLE",
        INVALID,
        "text",
        "ParseTime",
        calendars.ParseTimeRequest(text="tomorrow"),
    ),
    (
        "TIME_AMBIGUOUS",
        INVALID,
        "order",
        "ParseTime",
        calendars.ParseTimeRequest(text="05/06/2024"),
    ),
    (
        "TIME_ZONE_UNKNOWN",
        INVALID,
        "time_zone",
        "FormatTime",
        calendars.FormatTimeRequest(instant=Timestamp(), time_zone="Mars/Base"),
    ),
    (
        "LOCAL_TIME_SKIPPED",
        INVALID,
        "local_time.civil_time",
        "ConvertTime",
        calendars.ConvertTimeRequest(local_time=local("2024-03-31T02:30")),
    ),
    (
        "LOCAL_TIME_REPEATED",
        INVALID,
        "local_time.civil_time",
        "ConvertTime",
        calendars.ConvertTimeRequest(local_time=local("2024-10-27T02:30")),
    ),
    (
        "TIME_OUT_OF_RANGE",
        grpc.StatusCode.OUT_OF_RANGE,
        "",
        "FormatTime",
        calendars.FormatTimeRequest(instant=FOREVER),
    ),
    (
        "RECURRENCE_INVALID",
        INVALID,
        "occurrences_max",
        "ExpandRecurrence",
        calendars.ExpandRecurrenceRequest(start=local("2024-01-01T00:00"), rule="FREQ=DAILY"),
    ),
    (
        "UNIT_UNKNOWN",
        INVALID,
        "compatible_with",
        "ListUnits",
        quantities.ListUnitsRequest(compatible_with="metr"),
    ),
    (
        "UNIT_INCOMPATIBLE",
        INVALID,
        "target_unit",
        "ConvertQuantity",
        quantities.ConvertQuantityRequest(
            quantity=quantities.Quantity(value=1, unit="m"), target_unit="s"
        ),
    ),
    (
        "DOCUMENT_INVALID",
        INVALID,
        "document",
        "CanonicalizeDocument",
        documents.CanonicalizeDocumentRequest(document="NaN"),
    ),
    (
        "SCHEMA_INVALID",
        INVALID,
        "schema",
        "ValidateDocument",
        documents.ValidateDocumentRequest(document="1", schema='{"$ref":"https://example.org"}'),
    ),
    (
        "QUERY_INVALID",
        INVALID,
        "query",
        "QueryDocument",
        documents.QueryDocumentRequest(document="1", query="a.b"),
    ),
    (
        "PATCH_REFUSED",
        grpc.StatusCode.FAILED_PRECONDITION,
        "",
        "PatchDocument",
        documents.PatchDocumentRequest(
            document="{}",
            patch=documents.DocumentPatch(operations=[operation("REMOVE", "/a")]),
        ),
    ),
    (
        "ARCHIVE_INVALID",
        INVALID,
        "archive",
        "ListArchive",
        archives.ListArchiveRequest(archive=b"no archive", format=ZIP),
    ),
    (
        "ARCHIVE_ENTRY_REFUSED",
        INVALID,
        "archive",
        "ExtractArchive",
        archives.ExtractArchiveRequest(archive=samples.zip_of(("../x", b"")), format=ZIP),
    ),
]
BREACHES: list[tuple[str, str, Message]] = [
    ("SlugifyText", "separator", texts.SlugifyTextRequest(separator="/")),
    ("CompareTexts", "measure", texts.CompareTextsRequest()),
    ("FindMatches", "pattern", texts.FindMatchesRequest()),
    ("DescribeMonth", "month", calendars.DescribeMonthRequest(year=2024, month=13)),
    (
        "DigestBytes",
        "algorithm",
        digests.DigestBytesRequest.FromString(b"\x10\x63"),  # 99, which is not of the enum
    ),
    (
        "SignBytes",
        "algorithm",
        digests.SignBytesRequest(key=b"k" * 16, algorithm=digests.DIGEST_ALGORITHM_MD5),
    ),
    (
        "SignBytes",
        "key",
        digests.SignBytesRequest(key=b"short", algorithm=digests.DIGEST_ALGORITHM_SHA256),
    ),
    (
        "PatchDocument",
        "patch.operations[0].path",
        documents.PatchDocumentRequest(
            document="1", patch=documents.DocumentPatch(operations=[operation("REMOVE", "a")])
        ),
    ),
    (
        "PatchDocument",
        "patch.operations[0]",
        documents.PatchDocumentRequest(
            document="1", patch=documents.DocumentPatch(operations=[operation("ADD", "/a")])
        ),
    ),
    ("CreateArchive", "format", archives.CreateArchiveRequest()),
    (
        "ConvertQuantity",
        "quantity.value",
        quantities.ConvertQuantityRequest(
            quantity=quantities.Quantity(value=float("nan"), unit="m"), target_unit="m"
        ),
    ),
]


async def failure(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failure_of(failed.value)


@pytest.mark.parametrize(("reason", "code", "field", "method", "request_"), REFUSALS)
async def test_every_reason_arrives_with_its_code_and_field(
    toolbox: rpc.ToolboxServiceAsyncStub,
    reason: str,
    code: grpc.StatusCode,
    field: str,
    method: str,
    request_: Message,
) -> None:
    """One ErrorInfo of the family, and a violation for the field, where one is at fault."""
    failed = await failure(getattr(toolbox, method)(request_))
    assert (failed.reason, failed.code) == (reason, code)
    assert failed.domain == "tandem.utility.v1"
    assert set(failed.violations) == ({field} if field else set())


async def test_no_reason_is_left_out() -> None:
    """A new reason of the toolbox comes with a call that is refused for it."""
    own = {name.removeprefix("ERROR_REASON_") for name in errors.ErrorReason.keys()[1:20]}
    assert own == {one[0] for one in REFUSALS} | {"STREAM_OUT_OF_ORDER"}


@pytest.mark.parametrize(("method", "field", "request_"), BREACHES)
async def test_a_breach_of_the_contract_names_its_field(
    toolbox: rpc.ToolboxServiceAsyncStub, method: str, field: str, request_: Message
) -> None:
    """The rules stand on the fields, and are kept before any code of the agent runs."""
    failed = await failure(getattr(toolbox, method)(request_))
    assert (failed.code, failed.reason) == (INVALID, "INVALID_REQUEST")
    assert field in failed.violations


async def test_a_limit_is_told_with_its_number(toolbox: rpc.ToolboxServiceAsyncStub) -> None:
    """The caller learns how much there was and how much there may be."""
    failed = await failure(toolbox.MeasureText(texts.MeasureTextRequest(text="é" * 50_001)))
    assert failed.metadata == {"bytes": "100002", "bytes_max": "100000"}


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [digests.DigestStreamRequest(content=b"x")],
        [digests.DigestStreamRequest(algorithm=digests.DIGEST_ALGORITHM_MD5)] * 2,
    ],
)
async def test_a_stream_out_of_order_is_refused(
    toolbox: rpc.ToolboxServiceAsyncStub, pieces: list[digests.DigestStreamRequest]
) -> None:
    """The algorithm comes first, and once."""
    failed = await failure(toolbox.DigestStream(iter(pieces)))
    assert (failed.code, failed.reason) == (INVALID, "STREAM_OUT_OF_ORDER")


async def test_a_stream_above_its_limit_is_refused(toolbox: rpc.ToolboxServiceAsyncStub) -> None:
    """Counted while it comes in."""
    algorithm = digests.DigestStreamRequest(algorithm=digests.DIGEST_ALGORITHM_CRC32)
    content = digests.DigestStreamRequest(content=bytes(10_000))
    failed = await failure(toolbox.DigestStream(iter([algorithm, *[content] * 6])))
    assert failed.reason == "TOO_LARGE"


async def test_a_stream_that_stalls_ends_at_the_deadline(
    toolbox: rpc.ToolboxServiceAsyncStub,
) -> None:
    """The caller gets its answer in time, and the agent goes on answering others."""
    stalled = asyncio.Event()

    async def pieces() -> AsyncIterator[digests.DigestStreamRequest]:
        yield digests.DigestStreamRequest(algorithm=digests.DIGEST_ALGORITHM_CRC32)
        await stalled.wait()

    failed = await failure(toolbox.DigestStream(pieces(), timeout=0.2))
    assert failed.code is grpc.StatusCode.DEADLINE_EXCEEDED
    answer = await toolbox.MeasureText(texts.MeasureTextRequest(text="still here"))
    assert answer.words == 2
