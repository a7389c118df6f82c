"""How many calls of one method there were, how each ended, and how long it took.

Counted for every call, so plain numbers of a server's one event loop, without a lock or a look-up
by label: docs/benchmarks.md says what it costs, and why no client library stands here.
"""

from __future__ import annotations

from bisect import bisect_left

import grpc

# Upper bounds of the buckets that gRPC's own instruments have (gRFC A66), in seconds.
BOUNDS_S = (
    *(0.0, 0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008),
    *(0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008),
    *(0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08),
    *(0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8),
    *(1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0),
)


class Durations:
    """Seconds, by bucket; the last one is for what exceeds all bounds."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, duration_s: float) -> None:
        self.counts[bisect_left(BOUNDS_S, duration_s)] += 1
        self.sum_s += duration_s


class Tally:
    """Of one method, from its wrapper's first line to the status."""

    __slots__ = ("ended", "method", "ok", "started")

    def __init__(self, path: str) -> None:
        self.method = path.removeprefix("/")
        self.started = 0
        self.ok = Durations()
        self.ended: dict[str, Durations] = {grpc.StatusCode.OK.name: self.ok}

    @property
    def service(self) -> str:
        """Full name of the method's."""
        return self.method.partition("/")[0]

    def failed(self, code: grpc.StatusCode, duration_s: float) -> None:
        """A call that ended otherwise than well."""
        found = self.ended.get(code.name)
        if found is None:
            found = self.ended[code.name] = Durations()
        found.add(duration_s)
