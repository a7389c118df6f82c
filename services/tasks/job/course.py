"""What becomes of a job: pure, over its record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from services.tasks.job.book import Unfit, is_over
from tandem.tasks.v1 import agent_call_pb2, job_pb2

ATTEMPTS_MAX: Final = 10
BACKOFF, BACKOFF_MAX = timedelta(seconds=1), timedelta(minutes=5)
RESPONSE_BYTES_MAX: Final = 1_000_000


def policy(said: job_pb2.RetryPolicy) -> job_pb2.RetryPolicy:
    """With what it leaves open."""
    whole = job_pb2.RetryPolicy(attempts_max=said.attempts_max or ATTEMPTS_MAX)
    backoff = said.backoff.ToTimedelta() if said.HasField("backoff") else BACKOFF
    longest = said.backoff_max.ToTimedelta() if said.HasField("backoff_max") else BACKOFF_MAX
    whole.backoff.FromTimedelta(backoff)
    whole.backoff_max.FromTimedelta(max(backoff, longest))
    return whole


def begin(record: job_pb2.JobRecord, holder: str, now: datetime) -> None:
    """Another attempt, by `holder`. Raises Unfit where somebody else has begun one."""
    job = record.job
    if job.state != job_pb2.JOB_STATE_WAITING:
        raise Unfit
    job.state = job_pb2.JOB_STATE_RUNNING
    job.attempts += 1
    job.attempt_time.FromDatetime(now)
    record.holder = holder


def held_by(record: job_pb2.JobRecord, holder: str, attempt: int) -> None:
    """Raises Unfit unless that attempt of `holder` is in progress."""
    job = record.job
    if (job.state, record.holder, job.attempts) != (job_pb2.JOB_STATE_RUNNING, holder, attempt):
        raise Unfit


def end(
    record: job_pb2.JobRecord,
    state: job_pb2.JobState.ValueType,
    now: datetime,
    why: job_pb2.DeadReason.ValueType = job_pb2.DEAD_REASON_UNSPECIFIED,
) -> None:
    job = record.job
    job.state, job.dead_reason = state, why
    job.end_time.FromDatetime(now)
    job.ClearField("due_time")
    record.holder, record.cancel_wanted = "", False


def answered(record: job_pb2.JobRecord, response: bytes, now: datetime) -> None:
    record.job.ClearField("last_failure")
    record.job.response_dropped = len(response) > RESPONSE_BYTES_MAX
    end(record, job_pb2.JOB_STATE_DONE, now)


def failed(
    record: job_pb2.JobRecord, failure: agent_call_pb2.CallFailure, now: datetime, draw: float
) -> None:
    """It waits for its next attempt, or is dead."""
    job = record.job
    job.last_failure.CopyFrom(failure)
    if record.cancel_wanted:
        end(record, job_pb2.JOB_STATE_CANCELLED, now)
    elif not failure.may_retry:
        end(record, job_pb2.JOB_STATE_DEAD, now, job_pb2.DEAD_REASON_FAILED)
    elif job.attempts >= job.retry.attempts_max:
        end(record, job_pb2.JOB_STATE_DEAD, now, job_pb2.DEAD_REASON_EXHAUSTED)
    else:
        _wait(record, now + _pause(job, failure, draw))


def lost(record: job_pb2.JobRecord, now: datetime) -> None:
    """The process that tried it ended meanwhile, so nobody knows whether it happened."""
    job = record.job
    if record.cancel_wanted:
        end(record, job_pb2.JOB_STATE_CANCELLED, now)
    elif job.at_most_once:
        end(record, job_pb2.JOB_STATE_DEAD, now, job_pb2.DEAD_REASON_UNKNOWN_END)
    elif job.attempts >= job.retry.attempts_max:
        end(record, job_pb2.JOB_STATE_DEAD, now, job_pb2.DEAD_REASON_EXHAUSTED)
    else:
        _wait(record, now)


def cancel(record: job_pb2.JobRecord, now: datetime) -> None:
    """At once where it waits; whoever tries it is to hear of it. Raises Unfit where it is over."""
    if is_over(record.job):
        raise Unfit
    if record.job.state == job_pb2.JOB_STATE_RUNNING:
        record.cancel_wanted = True
    else:
        end(record, job_pb2.JOB_STATE_CANCELLED, now)


def expire(record: job_pb2.JobRecord, now: datetime) -> None:
    """Raises Unfit unless it waits."""
    if record.job.state != job_pb2.JOB_STATE_WAITING:
        raise Unfit
    end(record, job_pb2.JOB_STATE_DEAD, now, job_pb2.DEAD_REASON_EXPIRED)


def again(record: job_pb2.JobRecord) -> None:
    """From its first attempt, without the time that it had. Raises Unfit unless it is dead."""
    job = record.job
    if job.state != job_pb2.JOB_STATE_DEAD:
        raise Unfit
    job.state, job.attempts = job_pb2.JOB_STATE_WAITING, 0
    job.dead_reason = job_pb2.DEAD_REASON_UNSPECIFIED
    for over in ("end_time", "expire_time", "due_time"):
        job.ClearField(over)


def is_expired(job: job_pb2.Job, now: datetime) -> bool:
    return job.HasField("expire_time") and moment(job.expire_time) <= now


def rest_s(job: job_pb2.Job, now: datetime) -> float:
    """Until it is due, or its time is over."""
    if not job.HasField("due_time"):
        return 0.0
    next_ = moment(job.due_time)
    if job.HasField("expire_time"):
        next_ = min(next_, moment(job.expire_time))
    return max(0.0, (next_ - now).total_seconds())


def moment(said: Timestamp) -> datetime:
    return said.ToDatetime(tzinfo=UTC)


def _wait(record: job_pb2.JobRecord, until: datetime) -> None:
    record.job.state, record.holder = job_pb2.JOB_STATE_WAITING, ""
    record.job.due_time.FromDatetime(until)


def _pause(job: job_pb2.Job, failure: agent_call_pb2.CallFailure, draw: float) -> timedelta:
    """Doubled with each failure, up to a half of it less, and never less than the callee asked
    for.
    """
    longest_s = job.retry.backoff_max.ToTimedelta().total_seconds()
    doubled_s = job.retry.backoff.ToTimedelta().total_seconds() * 2.0 ** (job.attempts - 1)
    asked_s = failure.retry_after.ToTimedelta().total_seconds()
    pause_s = min(doubled_s, longest_s) * (1 - draw / 2)
    return timedelta(seconds=max(pause_s, min(asked_s, longest_s)))
