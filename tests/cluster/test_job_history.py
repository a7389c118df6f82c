"""The checker of histories sees each kind of fault, and nothing where there is none."""

from __future__ import annotations

import pytest

from tandem.tasks.v1 import job_pb2
from tests.cluster.job_history import Run, Work, faults, runs_in

DONE = job_pb2.Job(state=job_pb2.JOB_STATE_DONE)
DEAD = job_pb2.Job(state=job_pb2.JOB_STATE_DEAD, dead_reason=job_pb2.DEAD_REASON_FAILED)
WAITING = job_pb2.Job(state=job_pb2.JOB_STATE_WAITING)
WORK, RUN = Work("w", "jobs/k"), Run("w", "k")


@pytest.mark.parametrize(
    ("works", "jobs", "runs"),
    [
        ([WORK], {"jobs/k": DONE}, [RUN]),
        ([WORK], {"jobs/k": DONE}, [RUN, RUN]),
        ([WORK], {"jobs/k": DEAD}, []),
        ([Work("w")], {}, []),
        ([Work("w", must_be_done=True)], {}, [RUN, RUN]),
        ([Work("w", "jobs/k", at_most_once=True)], {"jobs/k": DEAD}, [RUN]),
    ],
)
def test_a_sound_history_has_no_fault(
    works: list[Work], jobs: dict[str, job_pb2.Job], runs: list[Run]
) -> None:
    """A repetition with the same key is sound, and so is a dead letter."""
    assert faults(works, jobs, runs) == []


@pytest.mark.parametrize(
    ("works", "jobs", "runs", "said"),
    [
        ([WORK], {}, [], "accepted and is not there"),
        ([WORK], {"jobs/k": WAITING}, [RUN], "has not ended"),
        ([WORK], {"jobs/k": DONE}, [], "done and was never begun"),
        ([WORK], {"jobs/k": DONE}, [Run("w", "other")], "another key"),
        ([WORK], {"jobs/k": DONE}, [RUN, Run("w", "other")], "2 keys"),
        ([], {}, [RUN], "nobody asked"),
        ([WORK], {"jobs/k": job_pb2.Job(state=DEAD.state)}, [], "without a reason"),
        ([Work("w", "jobs/k", must_be_done=True)], {"jobs/k": DEAD}, [RUN], "is dead"),
        ([Work("w", must_be_done=True)], {}, [], "never begun"),
        ([Work("w", "jobs/k", at_most_once=True)], {"jobs/k": DONE}, [RUN, RUN], "2 times"),
    ],
)
def test_each_fault_is_named(
    works: list[Work], jobs: dict[str, job_pb2.Job], runs: list[Run], said: str
) -> None:
    """By the work that it happened to."""
    found = faults(works, jobs, runs)
    assert any(said in fault for fault in found), found
    assert all(fault.startswith("w: ") for fault in found)


def test_a_line_that_was_cut_off_is_no_run() -> None:
    """The callee may be killed while it writes."""
    assert runs_in("w k\nx k\nwo") == [Run("w", "k"), Run("x", "k")]
