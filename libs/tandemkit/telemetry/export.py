"""Whether a process exports its spans, as its environment says: most do not, and pay nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tandemkit.core.environment import Environment
from tandemkit.rpc.spans import Tracing

# The share of calls that begin a sampled trace, where nobody says another and spans go somewhere.
SHARE = 0.01


def share_of(environment: Environment) -> float:
    """What a process whose operator names no share goes by: sampling for nobody costs log lines."""
    return SHARE if environment.otlp_endpoint else 0.0


@contextmanager
def exported(tracing: Tracing, environment: Environment, service: str) -> Iterator[Tracing]:
    """`tracing` with a recorder where the environment names a collector, as it is where not."""
    if not environment.otlp_endpoint:
        yield tracing
        return
    # Half a second and 8 MB, which only a process that exports is to pay.
    from tandemkit.telemetry.otlp import exporting

    with exporting(environment.otlp_endpoint, service) as recorder:
        yield replace(tracing, recorder=recorder)
