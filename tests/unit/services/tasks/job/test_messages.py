"""Messages of a job that come more than once, or that belong to none."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tandem.tasks.v1 import job_pb2
from tandem.tasks.v1 import job_service_pb2 as pb
from tandemkit.core.clock import SystemClock
from tandemkit.storage.queue.sqlite import sqlite_queues
from tests.unit.services.tasks.job.test_job import Callee, accepted, asked, ended, jobs


async def test_more_messages_do_not_make_more_attempts(tmp_path: Path) -> None:
    """All of them come at the same moment, to several workers."""
    callee, later = Callee(), asked()
    later.due_time.FromDatetime(SystemClock().now() + timedelta(seconds=0.4))
    async with jobs(tmp_path, callee) as stub:
        name = await accepted(stub, later)
        for _ in range(6):
            await stub.RequeueJob(pb.RequeueJobRequest(name=name))
        found = await ended(stub, name)
    assert (found.job.state, found.job.attempts) == (job_pb2.JOB_STATE_DONE, 1)
    assert len(callee.calls) == 1


async def test_an_empty_queue_is_filled_again_from_the_records(tmp_path: Path) -> None:
    """Its backend lost what it had; no accepted job is lost with it."""
    callee, later = Callee(), asked()
    later.due_time.FromDatetime(SystemClock().now() + timedelta(seconds=1))
    async with jobs(tmp_path, callee) as stub:
        name = await accepted(stub, later)
    for file in (tmp_path / "tasks-job").glob("queue.sqlite*"):
        file.unlink()
    async with jobs(tmp_path, callee) as stub:
        assert (await ended(stub, name)).job.state == job_pb2.JOB_STATE_DONE


async def test_a_message_without_a_record_is_nobodys_job(tmp_path: Path) -> None:
    """Its submitter was told nothing: nothing is called, and the others go on."""
    callee = Callee()
    (tmp_path / "tasks-job").mkdir()
    async with sqlite_queues(tmp_path / "tasks-job" / "queue.sqlite", SystemClock()) as queues:
        await queues.queue("tasks-job-normal", 10).publish("never-accepted", b"")
    async with jobs(tmp_path, callee, workers=1) as stub:
        await ended(stub, await accepted(stub, asked()))
    assert len(callee.calls) == 1
