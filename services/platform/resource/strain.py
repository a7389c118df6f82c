"""Whether memory is short, judged by what the kernel and the processes say at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from tandem.platform.config.v1.resource_pb2 import PressureSettings
from tandemkit.telemetry.machine import Memory

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """When memory counts as short, and how patient one is before anybody is resumed."""

    scarce_percent: float = 5.0
    plenty_percent: float = 10.0
    stalled_percent: float = 20.0
    look_every_s: float = 2.0
    calm_s: float = 30.0

    @classmethod
    def of(cls, settings: PressureSettings) -> Limits:
        """The defaults where nothing is said."""
        usual = cls()
        scarce = settings.scarce_percent or usual.scarce_percent
        return cls(
            scarce,
            max(settings.plenty_percent or usual.plenty_percent, scarce),
            settings.stalled_percent or usual.stalled_percent,
            settings.look_every.ToNanoseconds() / 1e9 or usual.look_every_s,
            settings.calm.ToNanoseconds() / 1e9 or usual.calm_s,
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What was measured: the machine, where the kernel keeps account of it, and what the hosts use
    of the `budget_mib` that the pools are together; 0: nobody set one.
    """

    memory: Memory | None
    used_mib: int
    budget_mib: int


@dataclass(frozen=True, slots=True)
class Strain:
    """`over_mib` has to be freed, `spare_mib` may be taken; at most one of them is not 0."""

    over_mib: int = 0
    spare_mib: int = 0
    cause: str = ""


def strain(reading: Reading, limits: Limits) -> Strain:
    """The worst of: the machine has little left, tasks wait for memory, the fleet uses more than
    its pools hold.
    """
    found = [_budget(reading)] if reading.budget_mib else []
    if reading.memory is not None:
        found += [_machine(reading.memory, limits), _stalls(reading.memory, limits)]
    worst = max(found, key=lambda one: (one.over_mib, -one.spare_mib), default=Strain())
    return worst if worst.over_mib else Strain(spare_mib=worst.spare_mib)


def _machine(memory: Memory, limits: Limits) -> Strain:
    available, whole = memory.available_bytes, memory.limit_bytes
    plenty = whole * limits.plenty_percent / 100
    if available < whole * limits.scarce_percent / 100:
        share = 100 * available / whole
        cause = f"{available // _MIB} MiB, {share:.1f} %, of the {memory.bound}'s are left"
        return Strain(over_mib=_up(plenty - available), cause=cause)
    return Strain(spare_mib=max(0, int((available - plenty) / _MIB)))


def _stalls(memory: Memory, limits: Limits) -> Strain:
    """How much would help nobody can say, so one agent after the other goes."""
    percent = memory.stalled_percent
    plenty = int(memory.available_bytes / _MIB)
    if percent is None or percent <= limits.stalled_percent:
        return Strain(spare_mib=plenty)
    return Strain(over_mib=1, cause=f"tasks waited for memory {percent:g} % of the time")


def _budget(reading: Reading) -> Strain:
    over = reading.used_mib - reading.budget_mib
    if over <= 0:
        return Strain(spare_mib=-over)
    cause = f"the hosts use {reading.used_mib} MiB, and the pools hold {reading.budget_mib}"
    return Strain(over_mib=over, cause=cause)


def _up(size_bytes: float) -> int:
    return max(1, -int(-size_bytes // _MIB))
