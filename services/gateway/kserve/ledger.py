"""How often models were asked, and how long that took."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from inference import statistics_pb2 as pb
from tandemkit.core.clock import stopwatch_s

_NS = 1_000_000_000


class Laps:
    """Moments of one request, one behind the other."""

    def __init__(self) -> None:
        self.begun_s = self._last_s = stopwatch_s()

    def lap(self) -> float:
        """Seconds since the last one."""
        now_s = stopwatch_s()
        passed_s, self._last_s = now_s - self._last_s, now_s
        return passed_s

    def whole(self) -> float:
        return stopwatch_s() - self.begun_s


@dataclass(slots=True)
class Sum:
    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds

    def told(self) -> pb.StatisticDuration:
        return pb.StatisticDuration(count=self.count, ns=int(self.seconds * _NS))


@dataclass(slots=True)
class Steps:
    """What becomes of a request on its way."""

    read: Sum = field(default_factory=Sum)
    answered: Sum = field(default_factory=Sum)
    written: Sum = field(default_factory=Sum)

    def add(self, read_s: float, answered_s: float, written_s: float) -> None:
        self.read.add(read_s)
        self.answered.add(answered_s)
        self.written.add(written_s)


@dataclass(slots=True)
class Account:
    """Of one model and version."""

    last_ms: int = 0
    items: int = 0
    success: Sum = field(default_factory=Sum)
    failure: Sum = field(default_factory=Sum)
    steps: Steps = field(default_factory=Steps)
    by_size: dict[int, Steps] = field(default_factory=dict)

    @contextmanager
    def counting(self, now_ms: int) -> Iterator[Laps]:
        """One request, which failed where it leaves by an exception."""
        laps, is_well = Laps(), False
        self.last_ms = now_ms
        try:
            yield laps
            is_well = True
        finally:
            (self.success if is_well else self.failure).add(laps.whole())

    def add(self, items: int, steps: tuple[float, float, float]) -> None:
        """What was read, answered and written, each in seconds."""
        self.items += items
        self.steps.add(*steps)
        self.by_size.setdefault(items, Steps()).add(*steps)

    def told(self, name: str, version: str) -> pb.ModelStatistics:
        steps = self.steps
        return pb.ModelStatistics(
            name=name,
            version=version,
            last_inference=self.last_ms,
            inference_count=self.items,
            execution_count=self.success.count,
            inference_stats=pb.InferStatistics(
                success=self.success.told(),
                fail=self.failure.told(),
                queue=pb.StatisticDuration(),
                compute_input=steps.read.told(),
                compute_infer=steps.answered.told(),
                compute_output=steps.written.told(),
            ),
            batch_stats=(
                pb.InferBatchStatistics(
                    batch_size=size,
                    compute_input=one.read.told(),
                    compute_infer=one.answered.told(),
                    compute_output=one.written.told(),
                )
                for size, one in sorted(self.by_size.items())
            ),
        )


class Ledger:
    """Since the agent started."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], Account] = {}

    def account(self, name: str, version: str) -> Account:
        return self._accounts.setdefault((name, version), Account())

    def told(self, name: str, version: str) -> Iterator[pb.ModelStatistics]:
        """Those of a model, or of all where the name is empty."""
        for (model, of_version), one in sorted(self._accounts.items()):
            if name in {"", model} and version in {"", of_version}:
                yield one.told(model, of_version)
