"""How many calls of one method may be in progress, and of which class."""

from __future__ import annotations

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.rpc import failure
from tandemkit.rpc.failure import Refusal, Refused
from tandemkit.rpc.priority import Priority

RETRY_S = 0.1
# As a limit it is always reached, so that no call pays for the question.
SHUT = -1
# One seat in so many, and at least one, is not for batch calls.
_KEPT_SHARE = 4


class Bounds:
    """The contract's and policy's, of which the lesser counts, or none while nobody is there to
    answer. `calls_max` is 0 where there is none to keep.
    """

    __slots__ = ("_policy_max", "_promised_max", "_shut_as", "calls_max")

    def __init__(self, promised_max: int) -> None:
        self._promised_max = self.calls_max = promised_max
        self._policy_max = 0
        self._shut_as: Refusal | None = None

    def limit(self, calls_max: int) -> None:
        """What policy says; 0: nothing."""
        self._policy_max = calls_max
        if self.calls_max != SHUT:
            self.open()

    def shut(self, refusal: Refusal) -> None:
        """Everybody is refused with this."""
        self.calls_max, self._shut_as = SHUT, refusal

    def open(self) -> None:
        limits = [one for one in (self._policy_max, self._promised_max) if one]
        self.calls_max, self._shut_as = min(limits, default=0), None

    def admits(self, priority: Priority, busy: int, waiting: int) -> bool:
        """Whether one more call of the class finds a seat; raises where it shall not wait for one.
        Those who wait have each a claim to one.
        """
        free = self.calls_max - busy - waiting
        if priority is Priority.BATCH and self.calls_max > 1:
            free -= max(1, self.calls_max // _KEPT_SHARE)
        if free > 0:
            return True
        if priority is Priority.INTERACTIVE and waiting < self.calls_max:
            return False
        raise Refused(self.refusal())

    def refusal(self) -> Refusal:
        if self._shut_as is not None:
            return self._shut_as
        return failure.of_platform(
            platform.PLATFORM_ERROR_REASON_OVERLOADED,
            "the instance has as many calls in progress as it takes on",
            retry_after_s=RETRY_S,
            concurrent_calls_max=self.calls_max,
        )
