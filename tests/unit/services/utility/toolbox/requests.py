"""Parts of requests that many tests need."""

from datetime import datetime

from tandem.utility.v1 import calendar_pb2 as calendars
from tandem.utility.v1 import json_document_pb2 as documents
from tests.unit.services.utility.toolbox import archive_samples


def day(year: int, month: int, number: int) -> calendars.CivilDate:
    return calendars.CivilDate(year=year, month=month, day=number)


def local(
    civil: str,
    zone: str = "Europe/Paris",
    policy: calendars.ClockChangePolicy.ValueType = calendars.CLOCK_CHANGE_POLICY_UNSPECIFIED,
) -> calendars.LocalTime:
    time = datetime.fromisoformat(civil)
    return calendars.LocalTime(
        civil_time=calendars.CivilTime(
            date=day(time.year, time.month, time.day), hour=time.hour, minute=time.minute
        ),
        time_zone=zone,
        policy=policy,
    )


def operation(step: str, path: str, value: str = "", source: str = "") -> documents.PatchOperation:
    return documents.PatchOperation(
        type=documents.PatchOperationType.Value(f"PATCH_OPERATION_TYPE_{step}"),
        path=path,
        value=value,
        source=source,
    )


def packed(*names: str) -> bytes:
    """A ZIP of files that hold their own names."""
    return archive_samples.zip_of(*((name, name.encode()) for name in names))
