"""Jobs over gRPC, on the embedded queue: accepted once, tried until they end, and kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.tasks.job.agent import AGENT
from tandem.tasks.config.v1 import job_pb2 as cfg
from tandem.tasks.v1 import agent_call_pb2, job_pb2
from tandem.tasks.v1 import job_service_pb2 as pb
from tandem.tasks.v1 import job_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.agent_caller import KEY_HEADER
from tandemkit.hosting.scope import Scope
from tandemkit.testing import probe
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import failure_of
from tests.unit.tandemkit.rpc.probed import Probe

FAST = job_pb2.RetryPolicy(attempts_max=3)
FAST.backoff.FromMilliseconds(20)
WAITING, RUNNING = job_pb2.JOB_STATE_WAITING, job_pb2.JOB_STATE_RUNNING
DONE, DEAD = job_pb2.JOB_STATE_DONE, job_pb2.JOB_STATE_DEAD
CANCELLED = job_pb2.JOB_STATE_CANCELLED
# The mesh itself sends once more what failed so.
SENT = 2


class Callee(Probe):
    """Notes what it was called with; fails or hangs as the text says."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str]] = []
        self.failures: list[Exception] = []
        self.at_once = self.at_most = 0

    async def Echo(self, request: Any, context: Any) -> Any:
        self.calls.append((dict(context.invocation_metadata())[KEY_HEADER], request.text))
        self.at_once += 1
        self.at_most = max(self.at_most, self.at_once)
        try:
            if self.failures:
                raise self.failures.pop(0)
            return await self._act(request)
        finally:
            self.at_once -= 1

    async def Narrow(self, request: Any, context: Any) -> Any:
        return await self.Echo(request, context)


@asynccontextmanager
async def jobs(
    folder: Path, callee: Callee, **settings: Any
) -> AsyncIterator[rpc.JobServiceAsyncStub]:
    """The agent beside the one that it calls; the same folder again is a restart."""

    @asynccontextmanager
    async def build(_scope: Scope, _settings: None) -> AsyncIterator[Callee]:
        yield callee

    beside = (Agent(contract=probe.DESCRIPTOR, build=build),)
    said = cfg.JobSettings(**settings)
    async with serving(AGENT, settings=said, beside=beside, state_dir=folder) as channel:
        stub: Any = rpc.JobServiceStub(channel)
        yield stub


def asked(text: str = "hi", method: str = "Echo", **fields: Any) -> pb.SubmitJobRequest:
    request = probe.ProbeRequest(text=text).SerializeToString()
    call = agent_call_pb2.AgentCall(method=probe.path(method), request=request)
    return pb.SubmitJobRequest(**{"call": call, "retry": FAST, **fields})


async def accepted(stub: rpc.JobServiceAsyncStub, request: pb.SubmitJobRequest) -> str:
    return (await stub.SubmitJob(request)).job.name


async def ended(stub: rpc.JobServiceAsyncStub, name: str) -> pb.GetJobResponse:
    async for _told in stub.WatchJob(pb.WatchJobRequest(name=name), timeout=20):
        pass
    return await stub.GetJob(pb.GetJobRequest(name=name))


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    found = failure_of(caught.value)
    return found.code, found.reason


async def test_an_accepted_job_is_done_and_its_answer_kept(tmp_path: Path) -> None:
    """The callee gets the job's id as its key."""
    callee = Callee()
    async with jobs(tmp_path, callee) as stub:
        name = await accepted(stub, asked(submitter="a test"))
        found = await ended(stub, name)
        assert found.job.state == DONE
        assert (found.job.attempts, found.job.submitter) == (1, "a test")
        assert probe.ProbeResponse.FromString(found.answer.response).text == "hi"
        assert callee.calls == [(name.removeprefix("jobs/"), "hi")]


async def test_a_job_that_is_submitted_twice_is_done_once(tmp_path: Path) -> None:
    """By its request id, at the same time and after a restart; another job may not have it."""
    callee, request = Callee(), asked(request_id="mine/1")
    async with jobs(tmp_path, callee) as stub:
        answers = await asyncio.gather(*(stub.SubmitJob(request) for _ in range(5)))
        assert len({one.job.name for one in answers}) == 1
        assert [one.was_there for one in answers].count(False) == 1
        await ended(stub, answers[0].job.name)
    async with jobs(tmp_path, callee) as stub:
        again = await stub.SubmitJob(request)
        assert (again.was_there, again.job.state) == (True, DONE)
        other = asked("other", request_id="mine/1")
        code, reason = await refused(stub.SubmitJob(other))
        assert (code, reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_TAKEN")
    assert len(callee.calls) == 1


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (
            asked(call=agent_call_pb2.AgentCall(method="/tandem.no.v1.NoService/Do")),
            "METHOD_UNKNOWN",
        ),
        (asked(method="Tail"), "METHOD_STREAMS"),
        (asked("x" * 2000), "CALL_REQUEST_INVALID"),
        (asked(method="Narrow"), "METHOD_NOT_REPEATABLE"),
    ],
)
async def test_what_cannot_be_done_is_not_accepted(
    tmp_path: Path, request_: pb.SubmitJobRequest, reason: str
) -> None:
    """The submitter is told at once, and nothing is kept."""
    async with jobs(tmp_path, Callee()) as stub:
        assert (await refused(stub.SubmitJob(request_)))[1] == reason
        told = await stub.GetQueue(pb.GetQueueRequest())
        assert (list(told.counts), told.queued) == ([], 0)


async def test_times_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    """Too far ahead, or over before it begins."""
    far, past = asked(), asked()
    far.due_time.FromDatetime(SystemClock().now() + timedelta(days=31))
    past.expire_time.FromDatetime(SystemClock().now() - timedelta(days=1))
    async with jobs(tmp_path, Callee()) as stub:
        for request in (far, past):
            assert (await refused(stub.SubmitJob(request)))[1] == "JOB_TIME_INVALID"


async def test_what_no_call_could_say_is_refused(tmp_path: Path) -> None:
    """Before anybody tries: a time that no calendar has, an instance that no header can name."""
    endless, early, broken = asked(), asked(), asked()
    endless.expire_time.seconds, early.due_time.seconds = 10**15, -(10**15)
    broken.call.instance = "files\nmine"
    async with jobs(tmp_path, Callee()) as stub:
        for request in (endless, early, broken):
            assert (await refused(stub.SubmitJob(request)))[1] == "INVALID_REQUEST"


async def test_a_failure_that_may_pass_is_tried_again_with_the_same_key(tmp_path: Path) -> None:
    """Behind the wait that the policy, or the callee, asks for."""
    callee = Callee()
    callee.failures = [TransientError(probe.BUSY, "busy", retry_after_s=0.01) for _ in range(4)]
    async with jobs(tmp_path, callee) as stub:
        found = await ended(stub, await accepted(stub, asked()))
    assert (found.job.state, found.job.attempts) == (DONE, 3)
    assert not found.job.HasField("last_failure")
    assert len({key for key, _ in callee.calls}) == 1


async def test_a_failure_that_stays_makes_a_dead_letter_at_once(tmp_path: Path) -> None:
    """With the callee's words; requeued, it begins anew."""
    callee = Callee()
    callee.failures = [CallerError(probe.TOO_ODD, "too odd")]
    async with jobs(tmp_path, callee) as stub:
        name = await accepted(stub, asked())
        dead = await ended(stub, name)
        assert (dead.job.state, dead.job.dead_reason) == (DEAD, job_pb2.DEAD_REASON_FAILED)
        assert (dead.job.attempts, dead.answer.failure.reason) == (1, "TOO_ODD")
        listed = await stub.ListJobs(pb.ListJobsRequest(state=DEAD))
        assert [one.name for one in listed.jobs] == [name]
        await stub.RequeueJob(pb.RequeueJobRequest(name=name))
        found = await ended(stub, name)
        assert (found.job.state, found.job.attempts) == (DONE, 1)
        code, reason = await refused(stub.RequeueJob(pb.RequeueJobRequest(name=name)))
        assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "JOB_ENDED")


async def test_a_job_whose_attempts_all_fail_is_a_dead_letter(tmp_path: Path) -> None:
    """After as many as its policy says."""
    callee = Callee()
    callee.failures = [TransientError(probe.BUSY, "busy", retry_after_s=0.01) for _ in range(20)]
    async with jobs(tmp_path, callee) as stub:
        found = await ended(stub, await accepted(stub, asked()))
    assert (found.job.state, found.job.dead_reason) == (DEAD, job_pb2.DEAD_REASON_EXHAUSTED)
    assert (found.job.attempts, len(callee.calls)) == (3, 3 * SENT)


async def test_a_job_waits_for_its_time_and_is_dead_behind_it(tmp_path: Path) -> None:
    """Not begun before it is due; given up when it expires, also in the midst of an attempt."""
    callee, later, late = Callee(), asked("later"), asked("hang")
    due = SystemClock().now() + timedelta(seconds=0.6)
    later.due_time.FromDatetime(due)
    late.expire_time.FromDatetime(due)
    async with jobs(tmp_path, callee) as stub:
        first, second = await accepted(stub, later), await accepted(stub, late)
        found, expired = await ended(stub, first), await ended(stub, second)
    assert found.job.attempt_time.ToDatetime(tzinfo=UTC) >= due
    assert found.job.state == DONE
    assert (expired.job.state, expired.job.dead_reason) == (DEAD, job_pb2.DEAD_REASON_EXPIRED)


async def test_a_job_is_cancelled_while_it_waits_and_while_it_runs(tmp_path: Path) -> None:
    """The first is never begun, the other's call is hung up."""
    callee, later = Callee(), asked("later")
    later.due_time.FromDatetime(SystemClock().now() + timedelta(seconds=0.3))
    async with jobs(tmp_path, callee) as stub:
        waits, runs = await accepted(stub, later), await accepted(stub, asked("hang"))
        await callee.entered.wait()
        for name in (waits, runs):
            job = (await stub.CancelJob(pb.CancelJobRequest(name=name))).job
            assert job.state == CANCELLED
        await callee.gone.wait()
        done = await ended(stub, await accepted(stub, asked()))
        again = (await stub.CancelJob(pb.CancelJobRequest(name=done.job.name))).job
        assert again.state == DONE
    assert [text for _, text in callee.calls] == ["hang", "hi"]


async def test_no_more_jobs_are_tried_at_a_time_than_there_are_workers(tmp_path: Path) -> None:
    """The urgent ones first."""
    callee = Callee()
    async with jobs(tmp_path, callee, workers=1) as stub:
        first = await accepted(stub, asked("hang"))
        await callee.entered.wait()
        names = [
            await accepted(stub, asked(f"{priority}", priority=priority))
            for priority in (
                job_pb2.JOB_PRIORITY_LOW,
                job_pb2.JOB_PRIORITY_NORMAL,
                job_pb2.JOB_PRIORITY_HIGH,
            )
        ]
        told = await stub.GetQueue(pb.GetQueueRequest())
        assert {one.state: one.jobs for one in told.counts} == {WAITING: 3, RUNNING: 1}
        assert (told.busy, told.workers, told.queued, told.backend) == (1, 1, 4, "sqlite")
        assert told.submitted_last_minute == 4
        callee.freed.set()
        for name in (first, *names):
            await ended(stub, name)
        order = [text for _, text in callee.calls]
    assert order == ["hang", "3", "2", "1"]
    assert callee.at_most == 1


async def test_what_may_happen_once_is_never_repeated_without_knowing(tmp_path: Path) -> None:
    """One whose end nobody knows is a dead letter."""
    callee = Callee()
    async with jobs(tmp_path, callee) as stub:
        once = await accepted(stub, asked("hang", "Narrow", at_most_once=True))
        found = await ended(stub, once)
        # Its deadline of 200 ms passes, and nobody knows whether it happened.
        assert (found.job.state, found.job.dead_reason) == (DEAD, job_pb2.DEAD_REASON_FAILED)
        assert len(callee.calls) == 1


async def test_jobs_are_listed_in_pages(tmp_path: Path) -> None:
    """The oldest first; a token fits its own listing alone."""
    later = asked()
    later.due_time.FromDatetime(SystemClock().now() + timedelta(days=1))
    async with jobs(tmp_path, Callee()) as stub:
        names = [await accepted(stub, later) for _ in range(5)]
        found, token = [], ""
        while True:
            page = await stub.ListJobs(pb.ListJobsRequest(page_size=2, page_token=token))
            found += [one.name for one in page.jobs]
            if not (token := page.next_page_token):
                break
            last = token
        assert found == names
        other = pb.ListJobsRequest(state=DEAD, page_token=last)
        assert (await refused(stub.ListJobs(other)))[1] == "PAGE_TOKEN_INVALID"
        missing = pb.GetJobRequest(name="jobs/nobody")
        assert await refused(stub.GetJob(missing)) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
