"""What operators change at run time, as plain values: it bends the traffic that contracts and
catalogue alone would give.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Calls in progress per client and cluster. Limits per agent are the server's; this one only keeps a
# client that ran away from taking every host with it.
CALLS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Share:
    """A version's part of the calls, against the sum of all parts."""

    version: str
    weight: int


@dataclass(frozen=True, slots=True)
class Preference:
    """Calls with this header, in lower case, and exactly this value go to one version."""

    header: str
    value: str
    version: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What `percent` of the calls meet: a delay, then an end with a gRPC code. Zero is neither."""

    percent: float
    abort_code: int = 0
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ServicePolicy:
    """One agent's. Shares do not apply to methods with an affinity: a session would live twice."""

    shares: tuple[Share, ...] = ()
    preferences: tuple[Preference, ...] = ()
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class TrafficPolicy:
    """The whole fleet's. `services` is by full service name; `drained` are names of hosts that get
    no new calls. `version` changes nothing that is told; it says which one is in force.
    """

    services: dict[str, ServicePolicy] = field(default_factory=dict)
    drained: frozenset[str] = frozenset()
    calls_max: int = CALLS_MAX
    version: int = 0

    def of(self, service: str) -> ServicePolicy:
        return self.services.get(service, _NO_POLICY)

    @property
    def faulty(self) -> bool:
        """Whether any call may meet a fault."""
        return any(one.fault for one in self.services.values())


_NO_POLICY = ServicePolicy()
