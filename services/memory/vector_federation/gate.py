"""Whether searches wait for one store: it costs them one slow answer and then none."""

from __future__ import annotations

from tandemkit.core.clock import Clock

_SHUT_S_MIN, _SHUT_S_MAX = 1.0, 30.0
# Whose caller had less patience than this has said nothing about the store.
PATIENCE_S_MIN = 0.25


class Gate:
    """Shut by a failure or a late answer, for a time that doubles. Opened by an answer alone, which
    is looked for beside a search, by one at a time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shut_s, self._until_s = 0.0, 0.0
        self._is_tried = False
        self.cause = ""

    @property
    def is_open(self) -> bool:
        return not self._shut_s

    def try_now(self) -> bool:
        """Whether it is time to see how the store does. Who is told so says `answered` or `failed`
        at the end.
        """
        if self._is_tried or self._clock.monotonic_s() < self._until_s:
            return False
        self._is_tried = True
        return True

    def answered(self) -> None:
        self._shut_s, self._is_tried, self.cause = 0.0, False, ""

    def failed(self, cause: str) -> None:
        self.cause, self._is_tried = cause, False
        self._shut_s = min(max(self._shut_s * 2, _SHUT_S_MIN), _SHUT_S_MAX)
        self._until_s = self._clock.monotonic_s() + self._shut_s

    def late(self, waited_s: float, cause: str) -> None:
        if waited_s >= PATIENCE_S_MIN:
            self.failed(cause)
        else:
            self.cause, self._is_tried = cause, False
