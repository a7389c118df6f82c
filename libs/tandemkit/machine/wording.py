"""Why a host's process is not there, in one line for people."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tandemkit.supervise.reports import Cause, Exited, Killed, NotReady, Raised

_LINE_CHARACTERS_MAX = 300
# What a host logs then.
_UNBUILT = "agent.unbuilt"


def said(cause: Cause, blamed: str = "") -> str:
    """A clause without an end. `blamed` is the agent whose failure was the process's, if known."""
    match cause:
        case Exited(signal=signal) if signal:
            return f"its process was ended by {signal}"
        case Exited(status=status, log_tail=tail):
            how = "its process ended" if status is None else f"its process ended with {status}"
            last = ": ".join(one for one in (blamed, last_line(tail)) if one)
            return f"{how}: {last}" if last else how
        case Killed(why=why):
            return why
        case NotReady(within_s=within_s):
            return f"it did not answer within {within_s:g} s"
        case Raised(chain=chain) if chain:
            return f"it could not start: {chain[0].message}"
        case _:
            return "its process ended"


def last_line(tail: str) -> str:
    """The end of what it wrote: of a traceback the exception, of a line of our log the event."""
    lines = (line.strip().strip("|+- ") for line in reversed(tail.splitlines()))
    line = next((line for line in lines if line), "")
    try:
        told = json.loads(line)
    except ValueError:
        return line[:_LINE_CHARACTERS_MAX]
    is_ours = isinstance(told, dict) and "event" in told
    return (_of_log(told) if is_ours else line)[:_LINE_CHARACTERS_MAX]


def _of_log(told: Mapping[str, object]) -> str:
    """The event, and why, where it says so."""
    cause = told.get("cause") or told.get("exception")
    why = str(cause).strip().splitlines()[-1] if cause else ""
    return f"{told['event']}: {why}" if why else str(told["event"])


def blamed(written: str) -> str:
    """The agent whose first build its host ended of, as the log has it; empty where it does not."""
    for line in reversed(written.splitlines()):
        if f'"{_UNBUILT}"' in line:
            try:
                return str(json.loads(line).get("agent", ""))
            except ValueError:  # cut off
                continue
    return ""
