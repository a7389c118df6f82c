"""How often a caller may ask: so much over time, and somewhat more at once after a pause; and how
much of it at the same time, for one may ask for streams without an end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from services.gateway.http.denied import Denied, denied
from services.gateway.http.door import CONNECTIONS, share_of_one
from tandem.gateway.config.v1 import http_pb2 as cfg
from tandem.gateway.v1 import errors_pb2 as errors
from tandemkit.core.clock import Clock
from tandemkit.rpc.callers import OPERATOR

_KEY_RATE: Final = cfg.HttpRate(per_second=50, at_once=200)
# Callers that have paused are forgotten then: they may do all at once again in any case.
_KNOWN_MAX: Final = 1000
# Nobody knows when one of those in progress ends.
_WAIT_S: Final = 1.0
_NO_BOUND: Final = nullcontext()


class Rates:
    """A bucket for each caller, which fills by itself: who has the token shares one."""

    def __init__(self, settings: cfg.HttpSettings, clock: Clock) -> None:
        self._of_key = settings.key_rate if settings.HasField("key_rate") else _KEY_RATE
        self._of_token = settings.token_rate if settings.HasField("token_rate") else None
        self._clock = clock
        connections_max = settings.connections_max or CONNECTIONS
        self._at_once_max = settings.requests_per_key_max or share_of_one(connections_max)
        self._in_progress: Counter[str] = Counter()
        # What is left, and as of when.
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, caller: str, times: int = 1, taken: int = 0) -> None:
        """Counts what came as `times` requests, of which `taken` were counted before. Raises
        Denied.
        """
        rate = self._of_token if caller == OPERATOR else self._of_key
        if rate is None:
            return
        now_s = self._clock.monotonic_s()
        left, since_s = self._left.get(caller, (float(rate.at_once), now_s))
        left = min(rate.at_once, left + (now_s - since_s) * rate.per_second)
        if left < times - taken:
            raise _exceeded(rate, caller, times, (times - taken - left) / rate.per_second)
        if len(self._left) >= _KNOWN_MAX and caller not in self._left:
            self._forget(now_s)
        self._left[caller] = left - (times - taken), now_s

    def held(self, caller: str) -> AbstractContextManager[None]:
        """While one request is in progress. Raises Denied."""
        return _NO_BOUND if caller == OPERATOR else self._held(caller)

    @contextmanager
    def _held(self, caller: str) -> Iterator[None]:
        if self._in_progress[caller] >= self._at_once_max:
            raise denied(
                errors.ERROR_REASON_RATE_EXCEEDED,
                "as many requests of the caller are in progress as it may have",
                retry_after_s=_WAIT_S,
                caller=caller,
                in_progress_max=self._at_once_max,
            )
        self._in_progress[caller] += 1
        try:
            yield
        finally:
            self._in_progress[caller] -= 1
            if not self._in_progress[caller]:
                del self._in_progress[caller]

    def _forget(self, now_s: float) -> None:
        full_s = self._of_key.at_once / self._of_key.per_second
        self._left = {name: one for name, one in self._left.items() if now_s - one[1] < full_s}


def _exceeded(rate: cfg.HttpRate, caller: str, times: int, wait_s: float) -> Denied:
    reason, per_second = errors.ERROR_REASON_RATE_EXCEEDED, f"{rate.per_second:g}"
    if times > rate.at_once:
        # Waiting does not help.
        message = f"one request brings {times} at once, and the caller may ask {rate.at_once}"
        return denied(reason, message, caller=caller, asked=times, at_once=rate.at_once)
    message = "the caller asks more often than it may"
    return denied(reason, message, retry_after_s=wait_s, caller=caller, per_second=per_second)
