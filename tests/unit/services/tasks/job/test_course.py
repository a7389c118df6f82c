"""What becomes of a job, over its record alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tasks.job import course
from services.tasks.job.book import Unfit
from tandem.tasks.v1 import agent_call_pb2, job_pb2

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PASSES = agent_call_pb2.CallFailure(may_retry=True)
WAITING, RUNNING = job_pb2.JOB_STATE_WAITING, job_pb2.JOB_STATE_RUNNING
DEAD, CANCELLED = job_pb2.JOB_STATE_DEAD, job_pb2.JOB_STATE_CANCELLED


def begun(attempts: int = 1, **fields: Any) -> job_pb2.JobRecord:
    """A job whose attempt of that number is in progress."""
    policy = fields.pop("retry", course.policy(job_pb2.RetryPolicy()))
    job = job_pb2.Job(state=WAITING, retry=policy, **fields)
    job.attempts = attempts - 1
    record = job_pb2.JobRecord(job=job)
    course.begin(record, "me", NOW)
    return record


@given(st.integers(1, 99), st.floats(0, 1), st.integers(1, 10_000), st.integers(1, 10_000))
def test_the_wait_doubles_up_to_its_limit_and_never_less_than_half(
    attempts: int, draw: float, backoff_ms: int, longest_ms: int
) -> None:
    """Whatever the policy and the dice."""
    said = job_pb2.RetryPolicy(attempts_max=100)
    said.backoff.FromMilliseconds(backoff_ms)
    said.backoff_max.FromMilliseconds(longest_ms)
    record = begun(attempts, retry=course.policy(said))
    course.failed(record, PASSES, NOW, draw)
    whole_ms = min(backoff_ms * 2 ** (attempts - 1), max(backoff_ms, longest_ms))
    wait_ms = course.rest_s(record.job, NOW) * 1000
    assert whole_ms / 2 - 1 <= wait_ms <= whole_ms + 1
    assert record.job.state == WAITING


def test_the_callee_may_ask_for_a_longer_wait() -> None:
    """Up to the longest of the policy."""
    slow = agent_call_pb2.CallFailure(may_retry=True)
    slow.retry_after.FromSeconds(7)
    record = begun()
    course.failed(record, slow, NOW, 0.0)
    assert course.rest_s(record.job, NOW) == 7
    slow.retry_after.FromSeconds(3600)
    record = begun()
    course.failed(record, slow, NOW, 0.0)
    assert course.rest_s(record.job, NOW) == 300


@pytest.mark.parametrize(
    ("fields", "wanted", "state", "why"),
    [
        ({}, False, WAITING, job_pb2.DEAD_REASON_UNSPECIFIED),
        ({"at_most_once": True}, False, DEAD, job_pb2.DEAD_REASON_UNKNOWN_END),
        ({"at_most_once": True}, True, CANCELLED, job_pb2.DEAD_REASON_UNSPECIFIED),
        ({"retry": {"attempts_max": 1}}, False, DEAD, job_pb2.DEAD_REASON_EXHAUSTED),
    ],
)
def test_an_attempt_whose_process_ended_is_repeated_if_it_may_be(
    fields: dict[str, Any], *, wanted: bool, state: int, why: int
) -> None:
    """Not beyond its number, not what may happen once, and not what somebody cancelled."""
    record = begun(**fields)
    record.cancel_wanted = wanted
    course.lost(record, NOW)
    assert (record.job.state, record.job.dead_reason) == (state, why)


def test_a_job_is_begun_by_one_alone_and_ended_by_who_began_it() -> None:
    """Whoever comes late finds that it does not fit."""
    record = begun()
    with pytest.raises(Unfit):
        course.begin(record, "another", NOW)
    for holder, attempt in (("another", 1), ("me", 2)):
        with pytest.raises(Unfit):
            course.held_by(record, holder, attempt)
    course.answered(record, b"", NOW)
    with pytest.raises(Unfit):
        course.held_by(record, "me", 1)
    with pytest.raises(Unfit):
        course.cancel(record, NOW)
    with pytest.raises(Unfit):
        course.again(record)


def test_a_job_is_looked_at_when_its_time_is_over() -> None:
    """Though its next attempt is due later."""
    record = begun()
    record.job.expire_time.FromDatetime(NOW + timedelta(seconds=2))
    slow = agent_call_pb2.CallFailure(may_retry=True)
    slow.retry_after.FromSeconds(60)
    course.failed(record, slow, NOW, 0)
    assert course.rest_s(record.job, NOW) == 2
    assert course.is_expired(record.job, NOW + timedelta(seconds=2))
