"""Lines of a log as people read them. Whoever wrote them may have meant harm: nothing in them
reaches the terminal as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from tandemkit.cli.harmless import json_text, one_line

Rendered = Callable[[str, str], str]

_OWN = ("time", "level", "event", "logger", "exception")
_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_COLOURS = {"ERROR": "\033[31m", "CRITICAL": "\033[31m", "WARNING": "\033[33m"}
_DIM, _PLAIN = "\033[2m", "\033[0m"


def renderer(*, is_coloured: bool) -> Rendered:
    """Turns the line of a host into text, for a terminal that has colours or for one without."""

    def rendered(_host: str, line: str) -> str:
        told = parsed(line)
        return one_line(line) if told is None else _text(told, is_coloured=is_coloured)

    return rendered


def as_json(host: str, line: str) -> str:
    """The object that was written; what is none becomes one."""
    told = parsed(line)
    return json_text(json.dumps({"host": host, "text": line} if told is None else told))


def parsed(line: str) -> dict[str, Any] | None:
    """The fields of a line of ours; None for any other one."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and "event" in told else None


def _text(told: dict[str, Any], *, is_coloured: bool) -> str:
    level = str(told.get("level", ""))
    word = one_line(_LEVELS.get(level, level))[:5].ljust(5)
    fields = "  ".join(
        f"{one_line(name)}={word_of(value)}" for name, value in told.items() if name not in _OWN
    )
    moment, event = _moment(told.get("time")), one_line(str(told["event"]))
    if is_coloured:
        word = f"{_COLOURS.get(level, '')}{word}{_PLAIN}"
        moment = f"{_DIM}{moment}{_PLAIN}"
    line = f"{moment} {word} {event}  {fields}".rstrip()
    trace = str(told.get("exception", ""))
    return "\n    ".join([line, *map(one_line, trace.splitlines())]) if trace else line


def _moment(told: object) -> str:
    """The local time of day; what is no time, as it was written."""
    try:
        moment = datetime.fromisoformat(str(told)).astimezone()
    except (ValueError, OverflowError):
        return one_line(str(told))
    return moment.strftime("%m-%d %H:%M:%S.%f")[:-3]


def word_of(value: object) -> str:
    """Without quotes where it reads as one word."""
    if isinstance(value, str):
        shown = one_line(value)
        is_word = shown and not any(one in shown for one in " =\"'")
        return shown if is_word else json.dumps(shown, ensure_ascii=False)
    return one_line(json.dumps(value, ensure_ascii=False))
