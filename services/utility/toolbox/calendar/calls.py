"""The calendar part of the service: messages in, messages out."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from services.utility.toolbox import offload
from services.utility.toolbox.calendar import (
    business_days,
    messages,
    months,
    parsing,
    periods,
    recurrences,
    writing,
    zones,
)
from services.utility.toolbox.paging import page_of
from tandem.utility.v1 import calendar_pb2 as pb
from tandem.utility.v1 import toolbox_service_pb2_grpc as rpc
from tandemkit.rpc.context import Context
from tandemkit.written.zones import zone_names

ZONES_PAGE_DEFAULT = 100
ZONES_PAGE_MAX = 1_000
_WEEKEND: Final = (pb.WEEKDAY_SATURDAY, pb.WEEKDAY_SUNDAY)


class CalendarCalls(rpc.ToolboxServiceServicer):
    """Dates and times: reading, writing, zones, periods, recurrences, business days."""

    async def ParseTime(
        self, request: pb.ParseTimeRequest, context: Context
    ) -> pb.ParseTimeResponse:
        if request.format:
            parsed = parsing.parse_as(request.text, request.format)
        else:
            parsed = parsing.parse(request.text, parsing.Order(request.order))
        response = pb.ParseTimeResponse(
            civil_time=messages.civil_message(parsed.time), has_time=parsed.has_time
        )
        instant = parsing.instant_of(parsed)
        if instant is not None:
            offset = parsed.time.utcoffset() or timedelta()
            response.utc_offset.CopyFrom(messages.duration_message(offset))
            response.instant.CopyFrom(messages.instant_message(instant))
        return response

    async def FormatTime(
        self, request: pb.FormatTimeRequest, context: Context
    ) -> pb.FormatTimeResponse:
        place = zones.zone(request.time_zone or "UTC", field="time_zone")
        local = zones.see(messages.instant_of(request.instant), place).local
        if request.format:
            return pb.FormatTimeResponse(text=writing.write_as(local, request.format))
        style = writing.Style(request.style or pb.TIME_STYLE_RFC3339)
        return pb.FormatTimeResponse(text=writing.write(local, style))

    async def ConvertTime(
        self, request: pb.ConvertTimeRequest, context: Context
    ) -> pb.ConvertTimeResponse:
        if request.HasField("local_time"):
            source = messages.moment_of(request.local_time, "local_time")
        else:
            utc = zones.zone("UTC", field="target_time_zone")
            source = zones.see(messages.instant_of(request.instant), utc)
        time = source
        if request.target_time_zone:
            place = zones.zone(request.target_time_zone, field="target_time_zone")
            time = zones.see(source.instant, place)
        return pb.ConvertTimeResponse(
            time=messages.moment_message(time), source=messages.moment_message(source)
        )

    async def AddPeriod(
        self, request: pb.AddPeriodRequest, context: Context
    ) -> pb.AddPeriodResponse:
        asked = request.period
        period = periods.Period(
            months=asked.years * periods.MONTHS_PER_YEAR + asked.months,
            days=asked.weeks * 7 + asked.days,
            exact=messages.length_of(asked.exact),
        )
        start = messages.moment_of(request.start, "start")
        time, clamped = periods.add(start, period, messages.POLICIES[request.start.policy])
        return pb.AddPeriodResponse(time=messages.moment_message(time), day_clamped=clamped)

    async def MeasurePeriod(
        self, request: pb.MeasurePeriodRequest, context: Context
    ) -> pb.MeasurePeriodResponse:
        start = messages.moment_of(request.start, "start")
        end = messages.moment_of(request.end, "end")
        found = periods.measure(start, end, messages.POLICIES[request.start.policy])
        sign = 1 if found.months >= 0 else -1
        years, rest = divmod(abs(found.months), periods.MONTHS_PER_YEAR)
        period = pb.Period(
            years=sign * years,
            months=sign * rest,
            days=found.days,
            exact=messages.duration_message(found.exact),
        )
        exact = messages.duration_message(end.instant - start.instant)
        return pb.MeasurePeriodResponse(period=period, exact=exact)

    async def ExpandRecurrence(
        self, request: pb.ExpandRecurrenceRequest, context: Context
    ) -> pb.ExpandRecurrenceResponse:
        rule = recurrences.read_rule(request.rule)
        if rule.endless and not request.occurrences_max:
            raise recurrences.endless_refusal()
        found = await offload.in_thread(
            recurrences.expand,
            rule,
            messages.moment_of(request.start, "start"),
            messages.POLICIES[request.start.policy],
            excluded=frozenset(map(messages.date_of, request.excluded_dates)),
            count_max=request.occurrences_max or recurrences.OCCURRENCES_DEFAULT,
        )
        return pb.ExpandRecurrenceResponse(
            occurrences=map(messages.moment_message, found.occurrences), truncated=found.truncated
        )

    async def CountBusinessDays(
        self, request: pb.CountBusinessDaysRequest, context: Context
    ) -> pb.CountBusinessDaysResponse:
        rest = request.rest_days if request.HasField("rest_days") else pb.RestDays(weekend=_WEEKEND)
        holidays = map(messages.date_of, rest.holidays)
        days = business_days.BusinessCalendar(rest.weekend, holidays)
        start = messages.date_of(request.start)
        if request.HasField("end"):
            end = messages.date_of(request.end)
            found = business_days.Stretch(end, days.count(start, end))
        else:
            found = days.walk(start, request.business_days)
        return pb.CountBusinessDaysResponse(
            end=messages.date_message(found.end),
            business_days=found.business_days,
            calendar_days=(found.end - start).days,
        )

    async def DescribeMonth(
        self, request: pb.DescribeMonthRequest, context: Context
    ) -> pb.DescribeMonthResponse:
        response = pb.DescribeMonthResponse(
            leap_year=months.is_leap(request.year),
            days_in_month=months.length_days(request.year, request.month),
        )
        for week in months.weeks(request.year, request.month):
            days = map(messages.date_message, week.days)
            response.weeks.add(iso_year=week.iso_year, iso_week=week.iso_week, days=days)
        easter = months.easter_sundays(request.year)
        if easter is not None:
            response.easter_western.CopyFrom(messages.date_message(easter[0]))
            response.easter_eastern.CopyFrom(messages.date_message(easter[1]))
        return response

    async def ListTimeZones(
        self, request: pb.ListTimeZonesRequest, context: Context
    ) -> pb.ListTimeZonesResponse:
        prefix = request.name_prefix
        page = page_of(
            [name for name in zone_names() if name.startswith(prefix)],
            scope=f"zones:{prefix}",
            token=request.page_token,
            size=min(request.page_size or ZONES_PAGE_DEFAULT, ZONES_PAGE_MAX),
        )
        return pb.ListTimeZonesResponse(time_zones=page.names, next_page_token=page.next_token)
