"""An agent's own processes for work that takes the CPU, and what callers hear when those fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.rpc import failure
from tandemkit.rpc.bounds import RETRY_S
from tandemkit.rpc.current import SERVING
from tandemkit.rpc.failure import Refused
from tandemkit.rpc.priority import Priority
from tandemkit.supervise.workers import Account, WorkerLost, Workers, WorkersBusy

P = ParamSpec("P")
R = TypeVar("R")


def class_served() -> int:
    """The class of the call that asks for work; of a task of the agent's own, the middle one."""
    serving = SERVING.get()
    return Priority.STANDARD if serving is None else serving.priority


class Workshop:
    """Made by `scope.workers`."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    @property
    def account(self) -> Account:
        """What was done so far."""
        return self._workers.account

    async def run(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """What the function returns or raises, while the loop goes on: a module's own function,
        with arguments and a result that can be pickled. It has the time that its call has, and is
        killed when that is over. A process that ends before, and too many callers, end the call
        with UNAVAILABLE/WORKER_LOST and RESOURCE_EXHAUSTED/OVERLOADED.
        """
        try:
            return await self._workers.run(function, *arguments, **named)
        except WorkersBusy as error:
            raise Refused(
                failure.of_platform(
                    platform.PLATFORM_ERROR_REASON_OVERLOADED,
                    "all workers of the agent are busy, and as many calls wait as may",
                    retry_after_s=RETRY_S,
                    waiting_max=error.metadata["waiting_max"],
                )
            ) from error
        except WorkerLost as error:
            message = "the process that did the work ended before it was done"
            reason = platform.PLATFORM_ERROR_REASON_WORKER_LOST
            raise Refused(failure.of_platform(reason, message, retry_after_s=RETRY_S)) from error
