"""The calls of one trace, out of what the hosts of a home wrote about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tandemkit.cli.log_text import parsed
from tandemkit.rpc.context import IN_PROCESS

_SUFFIX = ".log"
_EVENTS = "rpc."


@dataclass(frozen=True, slots=True)
class Served:
    """One call, as its server logged it; `began` is when it came in."""

    host: str
    began: datetime
    duration_ms: float
    rpc: str
    code: str
    reason: str
    instance: str
    peer: str

    @property
    def in_process(self) -> bool:
        """Whether its caller is in the same process."""
        return self.peer.startswith(IN_PROCESS)


def served_of(folder: Path, trace_id: str) -> list[Served]:
    """Those of a trace, the one that began first at the front."""
    found = (call for path in folder.glob(f"*{_SUFFIX}") for call in _in_file(path, trace_id))
    return sorted(found, key=lambda one: one.began)


def _in_file(path: Path, trace_id: str) -> Iterator[Served]:
    host = path.name.removesuffix(_SUFFIX)
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if trace_id in line and (call := _call(host, trace_id, parsed(line))) is not None:
                yield call


def _call(host: str, trace_id: str, told: dict[str, Any] | None) -> Served | None:
    """None of a line that only mentions the trace."""
    if told is None or told.get("trace_id") != trace_id or "rpc" not in told:
        return None
    try:
        ended = datetime.fromisoformat(str(told["time"])).astimezone(UTC)
        duration_ms = float(told.get("duration_ms") or 0)
        began = ended - timedelta(milliseconds=duration_ms)
    except (ValueError, TypeError, OverflowError):
        # Anybody may write to a host's log, so a time may be no time.
        return None
    if not str(told["event"]).startswith(_EVENTS):
        return None
    return Served(
        host=host,
        began=began,
        duration_ms=duration_ms,
        rpc=str(told["rpc"]).removeprefix("/"),
        code=str(told.get("code") or ""),
        reason=str(told.get("reason") or ""),
        instance=str(told.get("instance") or ""),
        peer=str(told.get("peer") or ""),
    )
