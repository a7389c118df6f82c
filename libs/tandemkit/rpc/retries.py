"""Whether a failed call is tried once more, and when. Only for targets whose route does not do so
itself.
"""

from __future__ import annotations

from collections.abc import Callable

import grpc

from tandemkit.rpc.remote import RemoteFailure

PAUSE_S = 0.05
TOKENS_MAX = 10.0
TOKENS_A_SUCCESS = 0.1


class Tokens:
    """The retry budget of a target, by the rule of gRPC's own `retryThrottling`: a failure costs a
    token, a success gives a tenth of one back, and in the lower half nothing is tried again.
    """

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = TOKENS_MAX

    def earn(self) -> None:
        self.left = min(TOKENS_MAX, self.left + TOKENS_A_SUCCESS)

    def spend(self) -> bool:
        """Counts a failure; whether a retry may follow it."""
        self.left = max(0.0, self.left - 1.0)
        return self.left > TOKENS_MAX / 2


def pause_s(failure: RemoteFailure, draw: Callable[[], float]) -> float | None:
    """Seconds until the retry; None where the server wants none. `draw` answers from [0, 1): who
    failed together does not come back together.
    """
    if failure.code is not grpc.StatusCode.UNAVAILABLE:
        return None
    if failure.pushback_s is not None:
        return failure.pushback_s if failure.pushback_s >= 0 else None
    jitter = 0.5 + draw()
    if failure.retry_after_s is not None:
        return failure.retry_after_s * max(1.0, jitter)
    return PAUSE_S * jitter
