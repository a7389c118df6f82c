"""Why tasks are not assigned, in the words of the contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from services.tasks.assignment.fleet import NotKnown
from tandem.tasks.v1 import errors_pb2 as errors
from tandem.tasks.v1.assignment_pb2 import AssignableTask, AssignedTask, TaskWorker
from tandem.tasks.v1.assignment_service_pb2 import AssignTasksRequest
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.reach.failure import Refused, Unreachable

_RETRY_S: Final = 1.0
_TOLD_MAX: Final = 3


@contextmanager
def answering() -> Iterator[None]:
    """For calls that need the store or the fleet."""
    try:
        yield
    except (Unreachable, Refused) as error:
        reason = errors.ERROR_REASON_STORE_UNREACHABLE
        raise TransientError(reason, error.message, retry_after_s=_RETRY_S) from error
    except NotKnown as error:
        reason = errors.ERROR_REASON_FLEET_UNKNOWN
        raise TransientError(reason, error.message, retry_after_s=_RETRY_S) from error


def check_names(request: AssignTasksRequest) -> None:
    """Raises CallerError where two are called the same."""
    for field, names in (
        ("tasks", [one.id for one in request.tasks]),
        ("workers", [one.name for one in request.workers]),
    ):
        twice = next((one for number, one in enumerate(names) if one in names[:number]), None)
        if twice is not None:
            reason, said = errors.ERROR_REASON_ASSIGNMENT_AMBIGUOUS, "two are called the same"
            raise CallerError(reason, said, field=field, name=twice)


def missing(task: AssignableTask, workers: Sequence[TaskWorker]) -> list[str]:
    """What nobody is capable of; where somebody is of each, all that nobody is of together. Empty
    where somebody is capable of the task.
    """
    needs = set(task.capabilities)
    if any(needs <= set(one.capabilities) for one in workers):
        return []
    nobodys = needs.difference(*(one.capabilities for one in workers))
    return sorted(nobodys or needs)


def check_capable(task: AssignableTask, workers: Sequence[TaskWorker]) -> None:
    """Raises CallerError, which names the task and what is missing."""
    if not workers or (lacking := missing(task, workers)):
        raise CallerError(
            errors.ERROR_REASON_NO_CAPABLE_WORKER,
            "no worker is capable of the task",
            field="tasks",
            task=task.id,
            missing=", ".join(lacking if workers else task.capabilities),
            workers=len(workers),
        )


def full(without: Sequence[AssignedTask], workers: int) -> CallerError:
    told = ", ".join(one.task.id for one in without[:_TOLD_MAX])
    return CallerError(
        errors.ERROR_REASON_WORKERS_FULL,
        "the workers have no room for all tasks",
        field="tasks",
        without=len(without),
        first=told,
        workers=workers,
    )


def exists(name: str) -> CallerError:
    reason = errors.ERROR_REASON_ASSIGNMENT_EXISTS
    return CallerError(reason, "other tasks have that id", field="assignment_id", assignment=name)


def not_found(name: str) -> CallerError:
    reason = errors.ERROR_REASON_ASSIGNMENT_NOT_FOUND
    return CallerError(reason, "there is no such assignment", field="name", name=name)
