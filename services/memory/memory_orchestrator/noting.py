"""What fails through no fault of a caller is recorded as an event, besides being answered."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol

from google.protobuf.message import Message

from tandem.memory.v1 import errors_pb2 as errors
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.reach.failure import Unreachable

STREAM: Final = "memory/orchestrator"
_PAUSE_S: Final = 1.0
# Refusals that are no mistake of the caller's.
_OURS: Final = frozenset(
    {
        errors.ERROR_REASON_STORE_DAMAGED,
        errors.ERROR_REASON_MEMORY_FULL,
        errors.ERROR_REASON_FACTS_FULL,
    }
)


class Recorder(Protocol):
    def note(self, content: Message) -> None:
        """Raises Unreachable where nothing can be kept any more."""


@dataclass(frozen=True, slots=True)
class Whose:
    """Who notes: the instance, and its machine."""

    agent: str
    machine: str


class Failures:
    """Of one instance. Of failures that are alike at most one event a second is recorded, which
    says how many there were.
    """

    def __init__(self, recorder: Recorder, whose: Whose, clock: Clock) -> None:
        self._recorder, self._whose, self._clock = recorder, whose, clock
        self._kept: dict[tuple[str, str], nouns.MemoryOperationFailed] = {}
        self._told_s: dict[tuple[str, str], float] = {}

    def of(self, method: str, namespace: str) -> Watch:
        """Around the work of a method: `add_memory`."""
        return Watch(self, f"{method}_error", namespace)

    def take(self, error: str, reason: str, namespace: str) -> None:
        kind = (error, reason)
        event = self._kept.setdefault(kind, nouns.MemoryOperationFailed())
        if not event.count:
            event.time.FromDatetime(self._clock.now())
        event.error, event.reason, event.namespace = error, reason, namespace
        event.count += 1
        event.agent, event.machine = self._whose.agent, self._whose.machine
        if self._clock.monotonic_s() - self._told_s.get(kind, -_PAUSE_S) >= _PAUSE_S:
            self._tell(kind)

    def end(self) -> None:
        """Records those that still wait for their second to be over."""
        for kind in tuple(self._kept):
            self._tell(kind)

    def _tell(self, kind: tuple[str, str]) -> None:
        self._told_s[kind] = self._clock.monotonic_s()
        try:
            self._recorder.note(self._kept[kind])
        except Unreachable:
            # It counts with the next one.
            return
        del self._kept[kind]


class Watch:
    """Notes what leaves it, and holds nothing back."""

    def __init__(self, failures: Failures, error: str, namespace: str) -> None:
        self._failures, self._error, self._namespace = failures, error, namespace

    def __enter__(self) -> None:
        """There is nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and (reason := _reason(error)):
            self._failures.take(self._error, reason, self._namespace)


def _reason(error: Exception) -> str:
    """Empty where it is the caller's mistake."""
    if isinstance(error, TransientError | CallerError):
        if isinstance(error, CallerError) and error.reason not in _OURS:
            return ""
        value = errors.ErrorReason.Name(errors.ErrorReason.ValueType(error.reason))
        return value.removeprefix("ERROR_REASON_")
    return type(error).__name__
