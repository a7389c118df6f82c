"""A bound on the calls of one stub in progress, so that a slow agent fills its own part of a caller
and not all of it.
"""

from __future__ import annotations

from typing import Any

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.rpc import failure
from tandemkit.rpc.attempts import Near, Road, Way
from tandemkit.rpc.bounds import RETRY_S
from tandemkit.rpc.failure import Refusal
from tandemkit.rpc.line import Line
from tandemkit.rpc.unsent import Unsent


class Bulkhead:
    """Counts the calls of all methods of a stub. One event loop makes it safe without a lock."""

    __slots__ = ("at_once_max", "in_progress")

    def __init__(self, at_once_max: int) -> None:
        self.at_once_max = at_once_max
        self.in_progress = 0

    def counted(self, call: Any) -> Any:
        """The call, which is in progress from now on until it is over."""
        self.in_progress += 1
        call.add_done_callback(self._over)
        return call

    def refusal(self, path: str) -> Refusal | None:
        """Why one more is not sent; None where it may be."""
        if self.in_progress < self.at_once_max:
            return None
        return failure.of_platform(
            platform.PLATFORM_ERROR_REASON_BULKHEAD_FULL,
            "as many calls of the agent are in progress as its caller allows itself",
            retry_after_s=RETRY_S,
            rpc=path,
            at_once_max=self.at_once_max,
        )

    def _over(self, _call: object) -> None:
        self.in_progress -= 1


class BoundedRoad(Road):
    """One method of such a stub. What is beyond the bound fails at once: whoever would rather wait
    has a semaphore for it.
    """

    __slots__ = ("_bulkhead",)

    def __init__(
        self, line: Line, far: Way, near: Near | None, caller: str, bulkhead: Bulkhead
    ) -> None:
        super().__init__(line, far, near, caller)
        self._bulkhead = bulkhead

    def unary(self, *request: Any, **options: Any) -> Any:
        refusal = self._bulkhead.refusal(self.line.path)
        if refusal is not None:
            return Unsent(refusal)
        return self._bulkhead.counted(super().unary(*request, **options))

    def collecting(self, *requests: Any, **options: Any) -> Any:
        refusal = self._bulkhead.refusal(self.line.path)
        if refusal is not None:
            return Unsent(refusal)
        return self._bulkhead.counted(super().collecting(*requests, **options))

    def streaming(self, *requests: Any, **options: Any) -> Any:
        refusal = self._bulkhead.refusal(self.line.path)
        if refusal is not None:
            return Unsent(refusal)
        return self._bulkhead.counted(super().streaming(*requests, **options))
