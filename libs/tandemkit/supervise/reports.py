"""What a supervisor tells of its children: each start, end and restart, with its cause."""

from __future__ import annotations

import enum
import logging
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from traceback import walk_tb
from typing import Protocol

from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.redaction import redacted

_TEXT_LENGTH_MAX = 500
_CHAIN_LENGTH_MAX = 10
_LOGGER = logging.getLogger("tandemkit.supervise")


class Happening(enum.StrEnum):
    """What there is to report of a child; the value is the log's event."""

    STARTING = "child.starting"
    RESTARTING = "child.restarting"
    UP = "child.up"
    # By itself, and it need not come back.
    ENDED = "child.ended"
    FAILED = "child.failed"
    STOPPING = "child.stopping"
    STOPPED = "child.stopped"
    # It was told to stop and did not within its grace: it may run still.
    OVERRAN = "child.overran"
    ADDED = "child.added"
    REMOVED = "child.removed"
    SUSPENDED = "child.suspended"
    RESUMED = "child.resumed"
    # The supervisor itself gives up; its parent learns of it as a failure.
    ESCALATED = "child.escalated"


@dataclass(frozen=True, slots=True)
class Returned:
    """Its work came to an end without an error."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Something other than its supervisor cancelled it, or it gave way when it was stopped."""


@dataclass(frozen=True, slots=True)
class Link:
    """One exception of a chain, and the module and line that raised it, empty where nobody did."""

    kind: str
    message: str
    where: str


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception, with what caused it behind it; of a group, the members."""

    chain: tuple[Link, ...]

    @classmethod
    def of(cls, error: BaseException) -> Raised:
        links = (_link(one) for one in _causes(error))
        return cls(tuple(link for link, _ in zip(links, range(_CHAIN_LENGTH_MAX), strict=False)))


@dataclass(frozen=True, slots=True)
class Exited:
    """A process ended: with a status, or by a signal. The tail is of this life's log alone."""

    status: int | None
    signal: str
    log_tail: str

    @classmethod
    def of(cls, returncode: int, log_tail: str) -> Exited:
        log_tail = redacted(log_tail)
        if returncode >= 0:
            return cls(returncode, "", log_tail)
        return cls(None, _signal_name(-returncode), log_tail)


@dataclass(frozen=True, slots=True)
class Killed:
    """Whoever watched the process ended it, for it was of no use any more."""

    why: str
    log_tail: str = ""


@dataclass(frozen=True, slots=True)
class NotReady:
    """It started, and did not say in time that it was ready."""

    within_s: float


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another child failed, and by the strategy this one goes with it."""

    name: str


@dataclass(frozen=True, slots=True)
class Ending:
    """Its supervisor ends."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody wanted it: who, and why, for the record."""

    by: str
    why: str = ""


Cause = Returned | Cancelled | Raised | Exited | Killed | NotReady | Sibling | Ending | Asked


@dataclass(frozen=True, slots=True)
class Report:
    """One thing that happened to the child at `path`, which names its supervisors from the top.

    `failures` are those in a row; `restart_in_s` is the wait before the next start, if there is
    one.
    """

    at: datetime
    path: str
    happening: Happening
    cause: Cause | None = None
    failures: int = 0
    restart_in_s: float | None = None


class Sink(Protocol):
    """Where reports go. It is called on the loop, so it may neither wait nor block."""

    def take(self, report: Report) -> None:
        """Keeps the report. What it raises is logged, and harms no child."""


class LogSink:
    """Writes each report as one line."""

    def take(self, report: Report) -> None:
        fields: dict[str, object] = {"child": report.path}
        if report.cause is not None:
            fields["cause"] = _snake(type(report.cause).__name__)
            fields.update(asdict(report.cause))
        if report.failures:
            fields["failures"] = report.failures
        if report.restart_in_s is not None:
            fields["restart_in_s"] = round(report.restart_in_s, 3)
        level = _LEVELS.get(report.happening, logging.INFO)
        log.event(_LOGGER, level, report.happening, **fields)


class Sinks:
    """Several as one: each is told, whatever the others do."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    def take(self, report: Report) -> None:
        for sink in self._sinks:
            try:
                sink.take(report)
            except Exception as error:
                cause = asdict(Raised.of(error))
                log.event(_LOGGER, logging.ERROR, "child.unreported", child=report.path, **cause)


class Reports:
    """Makes the reports of one supervisor."""

    def __init__(self, clock: Clock, sink: Sink) -> None:
        self._clock, self._sink = clock, Sinks(sink)

    def tell(
        self,
        path: str,
        happening: Happening,
        cause: Cause | None,
        failures: int = 0,
        wait_s: float | None = None,
    ) -> None:
        self._sink.take(Report(self._clock.now(), path, happening, cause, failures, wait_s))


_LEVELS = {
    Happening.STARTING: logging.DEBUG,
    Happening.STOPPING: logging.DEBUG,
    Happening.FAILED: logging.WARNING,
    Happening.OVERRAN: logging.ERROR,
    Happening.ESCALATED: logging.ERROR,
}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _causes(one)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _link(error: BaseException) -> Link:
    where = ""
    for frame, line in walk_tb(error.__traceback__):
        where = f"{frame.f_globals.get('__name__', '?')}:{line}"
    # Cut behind that: half a secret would not be known as one.
    message = redacted(str(error))[:_TEXT_LENGTH_MAX]
    return Link(type(error).__qualname__, message, where)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time one
        return f"SIG{number}"


def _snake(name: str) -> str:
    return "".join(f"_{one.lower()}" if one.isupper() else one for one in name).lstrip("_")
