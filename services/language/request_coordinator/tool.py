"""What can be worked out, by the toolbox."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, timedelta
from functools import partial
from typing import Any, Final

from services.language.request_coordinator import reckoning as works
from services.language.request_coordinator.arithmetic import spelled
from services.language.request_coordinator.asked import Answer, Asked, Piece, Said, share_s
from services.language.request_coordinator.calling import (
    Unanswered,
    called,
    headers,
    nobody_answered,
)
from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import errors_pb2 as errors
from tandem.utility.v1 import calendar_pb2 as calendar
from tandem.utility.v1 import digest_pb2 as digest
from tandem.utility.v1 import quantity_pb2 as quantity
from tandem.utility.v1 import toolbox_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError
from tandemkit.written.zones import zone_names

TOOLBOX: Final = "tandem.utility.v1.ToolboxService"
_SHARE: Final = 0.9
_WITHIN_S: Final = 10.0
_RELATIVE: Final = {"": 0, "today": 0, "now": 0, "it": 0, "tomorrow": 1, "yesterday": -1}
_MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
_UTC: Final = "UTC"
_DAY_FIRST: Final = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?\s+([a-z]+),?\s+(\d{4})")
_MONTH_FIRST: Final = re.compile(r"([a-z]+)\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})")


class Unreadable(Exception):
    """Arguments that mean nothing; the message says which."""


class Tool:
    """Of requests whose arguments are plain. Raises CallerError ROUTE_UNFIT for any other."""

    def __init__(self, toolbox: rpc.ToolboxServiceAsyncStub, clock: Clock) -> None:
        self._toolbox, self._clock = toolbox, clock

    async def answer(self, asked: Asked) -> AsyncIterator[Said]:
        work = works.reckoned(asked.text)
        if work is None:
            raise _unfit("the request is no sum, conversion, date or digest that can be read")
        try:
            text = await self._worked_out(work, asked)
        except Unreadable as error:
            raise _unfit(str(error)) from error
        except Unanswered as error:
            if error.found.code.name in {"INVALID_ARGUMENT", "OUT_OF_RANGE"}:
                raise _unfit(error.found.message) from error
            raise nobody_answered([error]) from error
        yield Piece(text)
        yield Answer(text, nouns.Answerer(service=TOOLBOX, backend="toolbox"))

    async def _worked_out(self, work: works.Reckoning, asked: Asked) -> str:
        ask = partial(self._ask, asked)
        match work:
            case works.Sum(value):
                return spelled(value)
            case works.Conversion(value, unit, target):
                request = quantity.ConvertQuantityRequest(
                    quantity=quantity.Quantity(value=value, unit=unit), target_unit=target
                )
                found = (await ask(self._toolbox.ConvertQuantity, request)).quantity
                return f"{value:.12g} {unit} is {found.value:.12g} {found.unit}"
            case works.DigestOf(algorithm, text):
                content = digest.DigestBytesRequest(content=text.encode(), algorithm=algorithm)
                return str((await ask(self._toolbox.DigestBytes, content)).digest.hexadecimal)
            case _:
                return await self._dated(work, ask)

    async def _dated(self, work: works.Reckoning, ask: Callable[..., Awaitable[Any]]) -> str:
        match work:
            case works.Between(start, end):
                first, last = self._day(start), self._day(end)
                measure = calendar.MeasurePeriodRequest(start=_local(first), end=_local(last))
                exact = (await ask(self._toolbox.MeasurePeriod, measure)).exact
                days = exact.seconds // timedelta(days=1).total_seconds()
                return f"{days:.0f} days from {first} to {last}"
            case works.Shifted(start, count, unit):
                add = calendar.AddPeriodRequest(start=_local(self._day(start)))
                setattr(add.period, unit, count)
                return _named((await ask(self._toolbox.AddPeriod, add)).time.civil_time.date)
            case works.Clock(place):
                convert = calendar.ConvertTimeRequest(target_time_zone=_zone(place))
                convert.instant.FromDatetime(self._clock.now())
                time = (await ask(self._toolbox.ConvertTime, convert)).time
                at = time.civil_time
                return f"{at.hour:02}:{at.minute:02} on {_named(at.date)}, {time.time_zone}"
            case works.Weekday(day):
                return _spoken(self._day(day))
        raise Unreadable("this is no work for a tool")

    async def _ask(self, asked: Asked, method: Callable[..., Awaitable[Any]], request: Any) -> Any:
        call = partial(method, request, metadata=headers(asked))
        return await called(
            TOOLBOX, lambda timeout: call(timeout=timeout), share_s(_SHARE, _WITHIN_S)
        )

    def _day(self, said: str) -> date:
        """In UTC, as all that is relative to now. Raises Unreadable."""
        words = said.casefold()
        if words in _RELATIVE:
            return self._clock.now().date() + timedelta(days=_RELATIVE[words])
        try:
            return date(*_numbers(words))
        except ValueError as error:
            raise Unreadable(f"{said} is no day") from error


def _numbers(words: str) -> tuple[int, int, int]:
    """Year, month and day. Raises ValueError."""
    if found := _DAY_FIRST.fullmatch(words):
        return int(found[3]), _MONTHS.index(found[2][:3]) + 1, int(found[1])
    if found := _MONTH_FIRST.fullmatch(words):
        return int(found[3]), _MONTHS.index(found[1][:3]) + 1, int(found[2])
    year, month, day = map(int, re.split(r"[-/]", words))
    return year, month, day


def _zone(place: str) -> str:
    """`Tokyo` is Asia/Tokyo. Raises Unreadable."""
    wanted = place.strip().replace(" ", "_").casefold()
    if not wanted:
        return _UTC
    names = zone_names()
    exact = next((one for one in names if one.casefold() == wanted), "")
    found = exact or next((one for one in names if one.casefold().endswith(f"/{wanted}")), "")
    if not found:
        raise Unreadable(f"no time zone is called {place}; ListTimeZones says which there are")
    return found


def _local(day: date) -> calendar.LocalTime:
    civil = calendar.CivilTime(date=calendar.CivilDate(year=day.year, month=day.month, day=day.day))
    return calendar.LocalTime(civil_time=civil, time_zone=_UTC)


def _named(day: calendar.CivilDate) -> str:
    return _spoken(date(day.year, day.month, day.day))


def _spoken(day: date) -> str:
    return f"{day:%A}, {day.isoformat()}"


def _unfit(message: str) -> CallerError:
    return CallerError(errors.ERROR_REASON_ROUTE_UNFIT, message, field="text", route="ROUTE_TOOL")
