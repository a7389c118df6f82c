"""What becomes of a schedule as time goes on: pure, from record to record."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2

from services.tasks.scheduler.plans import PREFIX, Missing, moment, pause_before, trigger_of
from services.tasks.scheduler.triggers import Missed, Trigger, jitter, missed
from tandem.tasks.v1 import agent_call_pb2 as call
from tandem.tasks.v1 import errors_pb2 as errors
from tandem.tasks.v1 import schedule_pb2 as pb
from tandemkit.core.errors import CallerError

# A call whose scheduler dies each time is not what keeps it from dying.
_LIVES_MAX = 40
_TRIGGERS_KEPT = 4096
_REQUEST_BYTES_MAX = 64 * 1024


class Deed(Enum):
    """What to do with a schedule that was looked at."""

    NOTHING = 1
    # The record changed; look at it again once that is on disk.
    NOTE = 2
    # The record changed; make the current firing's call once that is on disk.
    CALL = 3


def new_record(name: str, plan: pb.SchedulePlan, now: datetime) -> pb.ScheduleRecord:
    """A plan that is kept from now on. Raises CallerError for one that means nothing."""
    trigger = trigger_of(plan.trigger, now)
    # One time that has passed is a misfire, not a plan that never comes due.
    is_past = plan.trigger.HasField("at") and moment(plan.trigger.at) <= now
    cursor = moment(plan.trigger.at) - timedelta(microseconds=1) if is_past else now
    if trigger.after(cursor) is None:
        reason = errors.ERROR_REASON_SCHEDULE_NEVER_DUE
        raise CallerError(reason, "the plan never comes due", field="plan.trigger")
    if len(plan.call.request) > _REQUEST_BYTES_MAX:
        raise CallerError(
            errors.ERROR_REASON_CALL_REQUEST_INVALID,
            "the request of a schedule's call is too large",
            field="plan.call.request",
            bytes_max=_REQUEST_BYTES_MAX,
        )
    record = pb.ScheduleRecord(schedule=pb.Schedule(name=name, plan=plan, version=1))
    for told in (record.schedule.create_time, record.schedule.update_time, record.plan_time):
        told.FromDatetime(now)
    record.cursor.FromDatetime(cursor)
    plan_wake(record)
    return record


def take_up(record: pb.ScheduleRecord, now: datetime, life: str, hold: timedelta) -> Deed:
    """Begins what is due, in the name of one life of a scheduler that has `hold` to tell of
    itself.
    """
    if not record.HasField("wake_time") or now < moment(record.wake_time):
        return Deed.NOTHING
    if record.HasField("current"):
        if record.holder and not _may_repeat(record):
            end(record, pb.FIRING_OUTCOME_UNKNOWN, now)
            return Deed.NOTE
    elif not _begin(record, now):
        return Deed.NOTE
    record.current.attempts += 1
    record.holder = life
    record.wake_time.FromDatetime(now + hold)
    return Deed.CALL


def conclude(record: pb.ScheduleRecord, answer: call.AgentAnswer, now: datetime) -> None:
    """The current firing's call ended so."""
    if not answer.HasField("failure"):
        record.current.ClearField("failure")
        end(record, pb.FIRING_OUTCOME_DONE, now)
        return
    failure, plan = answer.failure, record.schedule.plan
    record.current.failure.CopyFrom(failure)
    pause = pause_before(plan.retry, record.current.attempts)
    if pause is None or not failure.may_retry or plan.at_most_once:
        end(record, pb.FIRING_OUTCOME_FAILED, now)
        return
    record.ClearField("holder")
    record.wake_time.FromDatetime(now + max(pause, failure.retry_after.ToTimedelta()))


def end(record: pb.ScheduleRecord, outcome: pb.FiringOutcome.ValueType, now: datetime) -> None:
    """The current firing is over, and what comes next is told by the calendar."""
    record.current.outcome = outcome
    record.current.end_time.FromDatetime(now)
    if outcome == pb.FIRING_OUTCOME_UNKNOWN:
        record.current.failure.code = code_pb2.UNKNOWN
        record.current.failure.message = "the scheduler died before it heard the end of the call"
    _remember(record, record.current)
    record.ClearField("current")
    record.ClearField("holder")
    plan_wake(record)


def plan_wake(record: pb.ScheduleRecord) -> None:
    """Sets when the schedule comes due next; what is under way goes on."""
    schedule = record.schedule
    schedule.ClearField("next_time")
    if not record.HasField("current"):
        record.ClearField("wake_time")
    if schedule.paused:
        return
    due = trigger(record).after(moment(record.cursor))
    if due is None:
        return
    schedule.next_time.FromDatetime(due)
    if not record.HasField("current"):
        record.wake_time.FromDatetime(_begins(record, due))


def trim(record: pb.ScheduleRecord, firings_max: int) -> None:
    """Forgets the oldest firings."""
    del record.firings[firings_max:]


def trigger(record: pb.ScheduleRecord) -> Trigger:
    said = record.schedule.plan.trigger
    return _trigger(said.SerializeToString(deterministic=True), moment(record.plan_time))


@lru_cache(_TRIGGERS_KEPT)
def _trigger(said: bytes, made: datetime) -> Trigger:
    return trigger_of(pb.Trigger.FromString(said), made)


def _begin(record: pb.ScheduleRecord, now: datetime) -> bool:
    """Makes a firing of the first time that is to be fired; False where none is, and the record
    says when to look again.
    """
    plan, cursor, times = record.schedule.plan, moment(record.cursor), trigger(record)
    due = times.after(cursor)
    if due is None or now < _begins(record, due):
        plan_wake(record)
        return False
    missing = Missing.of(plan.misfire)
    late = now - missing.grace - plan.jitter_max.ToTimedelta()
    given_up = 0
    if due <= late:
        passed = missed(times, cursor, late, max(missing.made_up_max, 1))
        if missing.made_up_max == 0:
            _skip(record, passed, now)
            return False
        due, given_up = passed.last[0], passed.count - len(passed.last)
    record.current.CopyFrom(_firing(record.schedule.name, due))
    record.current.outcome = pb.FIRING_OUTCOME_RUNNING
    record.current.begin_time.FromDatetime(now)
    record.current.missed = given_up
    _pass(record, due)
    return True


def _skip(record: pb.ScheduleRecord, passed: Missed, now: datetime) -> None:
    skipped = _firing(record.schedule.name, passed.last[-1])
    skipped.outcome = pb.FIRING_OUTCOME_SKIPPED
    skipped.end_time.FromDatetime(now)
    skipped.missed = passed.count
    _remember(record, skipped)
    _pass(record, passed.last[-1])


def _pass(record: pb.ScheduleRecord, due: datetime) -> None:
    record.cursor.FromDatetime(due)
    plan_wake(record)


def _firing(name: str, due: datetime) -> pb.Firing:
    told = Timestamp()
    told.FromDatetime(due)
    key = f"{name.removeprefix(PREFIX)}-{due:%Y%m%dt%H%M%S}{due.microsecond:06}"
    return pb.Firing(name=f"{name}/{told.ToJsonString()}", key=key, due_time=told)


def _begins(record: pb.ScheduleRecord, due: datetime) -> datetime:
    limit = record.schedule.plan.jitter_max.ToTimedelta()
    return due + jitter(record.schedule.name, due, limit) if limit else due


def _may_repeat(record: pb.ScheduleRecord) -> bool:
    return not record.schedule.plan.at_most_once and record.current.attempts < _LIVES_MAX


def _remember(record: pb.ScheduleRecord, firing: pb.Firing) -> None:
    known = [firing, *record.firings]
    del record.firings[:]
    record.firings.extend(known)
