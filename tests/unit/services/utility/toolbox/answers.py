"""One request for every RPC of the toolbox, and what of its answer is looked at."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tandem.utility.v1 import archive_pb2 as archives
from tandem.utility.v1 import calendar_pb2 as calendars
from tandem.utility.v1 import digest_pb2 as digests
from tandem.utility.v1 import json_document_pb2 as documents
from tandem.utility.v1 import quantity_pb2 as quantities
from tandem.utility.v1 import text_pb2 as texts
from tests.unit.services.utility.toolbox.requests import day, local, operation, packed

NOON = Timestamp(seconds=int(datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp()))
KEY = b"0123456789abcdef"
# RPC, request, and what of the answer is looked at.
ANSWERS: list[tuple[str, Message, str, object]] = [
    ("MeasureText", texts.MeasureTextRequest(text="Hé! Ok."), "words", 2),
    (
        "NormalizeText",
        texts.NormalizeTextRequest(
            text=" A\r\nß ",
            form=texts.UNICODE_FORM_NFKC,
            line_ending=texts.LINE_ENDING_LF,
            whitespace=texts.WHITESPACE_RULE_TRIM_LINES,
            case_fold=True,
        ),
        "text",
        "a\nss",
    ),
    ("SlugifyText", texts.SlugifyTextRequest(text="Été à Paris"), "slug", "ete-a-paris"),
    (
        "SlugifyText",
        texts.SlugifyTextRequest(text="a b c", separator="_", code_points_max=3),
        "slug",
        "a_b",
    ),
    (
        "CompareTexts",
        texts.CompareTextsRequest(
            left="ab", right="ac", measure=texts.SIMILARITY_MEASURE_LEVENSHTEIN
        ),
        "similarity",
        0.5,
    ),
    ("DiffTexts", texts.DiffTextsRequest(before="a\n", after="b\n"), "lines_added", 1),
    ("DiffTexts", texts.DiffTextsRequest(before="a", after="a"), "unified_diff", ""),
    (
        "FindMatches",
        texts.FindMatchesRequest(text="aaa", pattern=texts.Pattern(expression="a"), matches_max=2),
        "truncated",
        True,
    ),
    (
        "ReplaceMatches",
        texts.ReplaceMatchesRequest(
            text="x1", pattern=texts.Pattern(expression="(\\d)"), replacement="<$1>"
        ),
        "text",
        "x<1>",
    ),
    ("WrapText", texts.WrapTextRequest(text="one two", width=4), "lines", ["one", "two"]),
    (
        "TruncateText",
        texts.TruncateTextRequest(text="🇩🇪🇫🇷🇮🇹", graphemes_max=2, ellipsis="…"),
        "text",
        "🇩🇪…",
    ),
    (
        "ParseTime",
        calendars.ParseTimeRequest(text="01.05.2024", order=calendars.DATE_ORDER_DAY_MONTH_YEAR),
        "civil_time.date",
        day(2024, 5, 1),
    ),
    ("ParseTime", calendars.ParseTimeRequest(text="2024-05-01T14:00:00+02:00"), "instant", NOON),
    (
        "ParseTime",
        calendars.ParseTimeRequest(text="1 May 24", format="%d %B %y"),
        "has_time",
        False,
    ),
    (
        "FormatTime",
        calendars.FormatTimeRequest(instant=NOON, time_zone="Asia/Kolkata"),
        "text",
        "2024-05-01T17:30:00+05:30",
    ),
    (
        "FormatTime",
        calendars.FormatTimeRequest(instant=NOON, format="%A %%"),
        "text",
        "Wednesday %",
    ),
    (
        "ConvertTime",
        calendars.ConvertTimeRequest(instant=NOON, target_time_zone="America/New_York"),
        "time.abbreviation",
        "EDT",
    ),
    (
        "ConvertTime",
        calendars.ConvertTimeRequest(
            local_time=local("2024-10-27T02:30", policy=calendars.CLOCK_CHANGE_POLICY_LATER)
        ),
        "time.reading",
        calendars.CLOCK_READING_SECOND_OF_TWO,
    ),
    (
        "AddPeriod",
        calendars.AddPeriodRequest(
            start=local("2024-01-31T09:00"),
            period=calendars.Period(months=1, exact=Duration(seconds=3600)),
        ),
        "time.civil_time",
        calendars.CivilTime(date=day(2024, 2, 29), hour=10),
    ),
    (
        "MeasurePeriod",
        calendars.MeasurePeriodRequest(
            start=local("2024-03-30T12:00"), end=local("2025-05-01T12:00")
        ),
        "period",
        calendars.Period(years=1, months=1, days=1, exact=Duration()),
    ),
    (
        "MeasurePeriod",
        calendars.MeasurePeriodRequest(
            start=local("2024-03-31T12:00"), end=local("2024-03-30T12:00")
        ),
        "exact",
        Duration(seconds=-23 * 3600),
    ),
    (
        "ExpandRecurrence",
        calendars.ExpandRecurrenceRequest(
            start=local("2024-01-01T09:00"),
            rule="FREQ=DAILY",
            occurrences_max=1,
            excluded_dates=[day(2024, 1, 1)],
        ),
        "truncated",
        True,
    ),
    (
        "CountBusinessDays",
        calendars.CountBusinessDaysRequest(start=day(2024, 5, 3), business_days=1),
        "end",
        day(2024, 5, 6),
    ),
    (
        "CountBusinessDays",
        calendars.CountBusinessDaysRequest(
            start=day(2024, 5, 3), end=day(2024, 5, 6), rest_days=calendars.RestDays()
        ),
        "business_days",
        3,
    ),
    (
        "DescribeMonth",
        calendars.DescribeMonthRequest(year=2024, month=2),
        "easter_western",
        day(2024, 3, 31),
    ),
    (
        "ListTimeZones",
        calendars.ListTimeZonesRequest(name_prefix="Europe/Pa", page_size=5),
        "time_zones",
        ["Europe/Paris"],
    ),
    (
        "ConvertQuantity",
        quantities.ConvertQuantityRequest(
            quantity=quantities.Quantity(value=36, unit="km/h"), target_unit="m/s"
        ),
        "quantity",
        quantities.Quantity(value=10, unit="meter / second"),
    ),
    (
        "ListUnits",
        quantities.ListUnitsRequest(compatible_with="degC", page_size=1),
        "dimension",
        "[temperature]",
    ),
    (
        "DigestBytes",
        digests.DigestBytesRequest(content=b"abc", algorithm=digests.DIGEST_ALGORITHM_CRC32),
        "digest.hexadecimal",
        "352441c2",
    ),
    (
        "SignBytes",
        digests.SignBytesRequest(content=b"", key=KEY, algorithm=digests.DIGEST_ALGORITHM_SHA256),
        "signature.algorithm",
        digests.DIGEST_ALGORITHM_SHA256,
    ),
    (
        "VerifySignature",
        digests.VerifySignatureRequest(
            content=b"", key=KEY, algorithm=digests.DIGEST_ALGORITHM_SHA256, signature=b"x" * 32
        ),
        "valid",
        False,
    ),
    (
        "ValidateDocument",
        documents.ValidateDocumentRequest(
            document="[1,2,3]", schema='{"items":false}', violations_max=1
        ),
        "truncated",
        False,
    ),
    (
        "QueryDocument",
        documents.QueryDocumentRequest(document='{"a":[1,{}]}', query="$.a[1]"),
        "nodes",
        [documents.DocumentNode(path="$['a'][1]", document="{}")],
    ),
    (
        "PatchDocument",
        documents.PatchDocumentRequest(
            document="[1]",
            patch=documents.DocumentPatch(operations=[operation("ADD", "/-", value="2")]),
        ),
        "document",
        "[1,2]",
    ),
    (
        "PatchDocument",
        documents.PatchDocumentRequest(
            document='{"a":1}',
            patch=documents.DocumentPatch(operations=[operation("MOVE", "/b", source="/a")]),
        ),
        "document",
        '{"b":1}',
    ),
    (
        "PatchDocument",
        documents.PatchDocumentRequest(document='{"a":1}', merge_patch='{"a":null,"b":2}'),
        "document",
        '{"b":2}',
    ),
    (
        "DiffDocuments",
        documents.DiffDocumentsRequest(before='{"a":1}', after='{"a":2}'),
        "patch.operations",
        [operation("REPLACE", "/a", value="2")],
    ),
    (
        "CanonicalizeDocument",
        documents.CanonicalizeDocumentRequest(document='{"b": 1.0, "a": "\\u00e9"}'),
        "document",
        '{"a":"é","b":1}',
    ),
    (
        "CreateArchive",
        archives.CreateArchiveRequest(format=archives.ARCHIVE_FORMAT_TAR),
        "archive",
        bytes(10_240),
    ),
    (
        "ListArchive",
        archives.ListArchiveRequest(archive=packed("a"), format=archives.ARCHIVE_FORMAT_ZIP),
        "entries",
        [archives.ListedEntry(path="a", bytes=1)],
    ),
    (
        "ExtractArchive",
        archives.ExtractArchiveRequest(archive=packed("a"), format=archives.ARCHIVE_FORMAT_ZIP),
        "entries",
        [archives.ArchiveEntry(path="a", file=archives.ArchivedFile(content=b"a"))],
    ),
]
