"""The calls that a server answered, under the names that gRPC's own instruments have (gRFC A66).

Sizes of messages are not among them: asyncio gRPC does not tell what went over the wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tandemkit.rpc.tally import BOUNDS_S, Tally
from tandemkit.telemetry.exposition import COUNTER, HISTOGRAM, Family, Sample, buckets


def families(tallies: Sequence[Tally]) -> Iterator[Family]:
    """By method, in the order of mounting; a status that no call ended with is left out."""
    yield Family(
        "grpc_server_call_started",
        COUNTER,
        "Calls that began.",
        [Sample(one.started, {"grpc_method": one.method}) for one in tallies],
    )
    yield Family(
        "grpc_server_call_duration_seconds",
        HISTOGRAM,
        "From the moment that a call reached the server's loop to its status.",
        [line for one in tallies for line in _durations(one)],
    )


def _durations(tally: Tally) -> Iterator[Sample]:
    for status, found in tally.ended.items():
        if any(found.counts):
            labels = {"grpc_method": tally.method, "grpc_status": status}
            yield from buckets(labels, BOUNDS_S, found.counts, found.sum_s)
