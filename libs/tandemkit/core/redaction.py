"""Secret values of this process, taken out of whatever it writes: logs, failures, causes, spans.

A process that knows no secret pays one comparison for each text. docs/design/secrets.md.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import TextIO
from urllib.parse import quote

MASK = "[secret]"
# A shorter value stands in ordinary words, and a shorter number in any text; hiding it would tell
# where, and spoil what a program reads.
CHARS_MIN, DIGITS_MIN = 4, 8
_WORDS = frozenset({"true", "false", "null"})
# Of a value with several lines each is looked for too, if it is long enough to be nothing else.
_LINE_CHARS_MIN = 20
# Values of before are hidden as well; whoever changes theirs more often shows the oldest.
_VALUES_MAX = 500


class _Known:
    """The process's one list of values, the longest first. Whoever reads it meets one whole tuple,
    so threads need no lock.
    """

    def __init__(self) -> None:
        self.values: dict[str, None] = {}
        self.needles: tuple[str, ...] = ()


_known = _Known()


def hide(value: str) -> None:
    """From now on `redacted` takes it out, as it is and as it is usually written."""
    if value in _known.values or not can_be_hidden(value):
        return
    while len(_known.values) >= _VALUES_MAX:
        _known.values.pop(next(iter(_known.values)))
    _known.values[value] = None
    needles = {needle for one in _known.values for needle in _spellings(one)}
    _known.needles = tuple(sorted(needles, key=len, reverse=True))


def can_be_hidden(value: str) -> bool:
    """Whether it is long enough to be nothing else."""
    if value.isdecimal():
        return len(value) >= DIGITS_MIN
    return len(value) >= CHARS_MIN and value not in _WORDS


def redacted(text: str) -> str:
    """`text` without any value that was hidden. Runs for every line of a log."""
    for needle in _known.needles:
        if needle in text:
            text = text.replace(needle, MASK)
    return text


def is_idle() -> bool:
    """Whether there is nothing to take out."""
    return not _known.needles


def forget() -> None:
    """Nothing is taken out any more: for tests, whose process outlives their secrets."""
    _known.values, _known.needles = {}, ()


class Veiled:
    """A stream for text whose writer knows of no secrets: `print`, and tracebacks of the
    interpreter. Everything but `write` is the stream's own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(redacted(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def _spellings(value: str) -> Iterator[str]:
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    yield quote(value, safe="")
    encoded = value.encode()
    yield base64.b64encode(encoded).decode().rstrip("=")
    yield base64.urlsafe_b64encode(encoded).decode().rstrip("=")
    for line in value.splitlines():
        # The first line of a key in PEM says nothing.
        if len(line) >= _LINE_CHARS_MIN and not line.startswith("-----"):
            yield line
