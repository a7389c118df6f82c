"""What happened to jobs, and what of it must not have."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tandem.tasks.v1 import job_pb2


@dataclass(frozen=True, slots=True)
class Work:
    """Something to be done. `job` is the name of the job that was accepted for it; empty where
    nobody was told of one, because a scheduler submits it or the answer was lost.
    """

    name: str
    job: str = ""
    at_most_once: bool = False
    must_be_done: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """It was begun, with this key."""

    work: str
    key: str


def runs_in(notes: str) -> list[Run]:
    """What the callee wrote, a line each; the last one may be cut off."""
    return [Run(*line.split()) for line in notes.splitlines() if len(line.split()) == 2]


def faults(
    works: Iterable[Work], jobs: Mapping[str, job_pb2.Job], runs: Iterable[Run]
) -> list[str]:
    """Everything that breaks a promise, in words; empty where all is well."""
    keys: dict[str, Counter[str]] = defaultdict(Counter)
    for run in runs:
        keys[run.work][run.key] += 1
    known = {work.name: work for work in works}
    found = [f"{name}: nobody asked for it" for name in sorted(keys.keys() - known.keys())]
    for name, work in known.items():
        found += [f"{name}: {fault}" for fault in _faults(work, jobs.get(work.job), keys[name])]
    return found


def _faults(work: Work, job: job_pb2.Job | None, keys: Counter[str]) -> Iterable[str]:
    if len(keys) > 1:
        yield f"was begun with {len(keys)} keys"
    if work.at_most_once and keys.total() > 1:
        yield f"may be begun once, and was {keys.total()} times"
    if not work.job:
        if work.must_be_done and not keys:
            yield "was never begun"
        return
    if job is None:
        yield "its job was accepted and is not there"
        return
    if keys and set(keys) != {work.job.removeprefix("jobs/")}:
        yield "was begun with another key than its job's id"
    if job.state not in {job_pb2.JOB_STATE_DONE, job_pb2.JOB_STATE_DEAD}:
        yield f"has not ended: {job_pb2.JobState.Name(job.state)}"
    if job.state == job_pb2.JOB_STATE_DONE and not keys:
        yield "is done and was never begun"
    if job.state == job_pb2.JOB_STATE_DEAD and not job.dead_reason:
        yield "is dead without a reason"
    if work.must_be_done and job.state == job_pb2.JOB_STATE_DEAD:
        yield f"is dead: {job_pb2.DeadReason.Name(job.dead_reason)}"
