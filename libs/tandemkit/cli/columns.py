"""A table that fits: columns that matter less go first, and the last one runs free."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from tandemkit.cli.harmless import one_line

_GAP = 2
_CUT = "…"
_LAST_MIN = 24
_WIDE = frozenset("WF")


@dataclass(frozen=True, slots=True)
class Column:
    """`rank` says which go first where there is no room: the highest."""

    title: str
    rank: int = 0
    is_number: bool = False


def width_of(text: str) -> int:
    """Columns that a terminal gives to the text."""
    return sum(
        0 if unicodedata.combining(one) else 1 + (unicodedata.east_asian_width(one) in _WIDE)
        for one in text
    )


def cut(text: str, width: int) -> str:
    """At most `width` columns of the text, with a mark where something is missing."""
    if width_of(text) <= width:
        return text
    kept, left = "", width - 1
    for one in text:
        left -= width_of(one)
        if left < 0:
            break
        kept += one
    return kept + _CUT if width > 0 else ""


def fitted(
    columns: Sequence[Column], rows: Sequence[tuple[str, ...]], width: int | None
) -> list[list[str]]:
    """Cells of equal widths, the titles first, for a terminal of `width` columns; None: any. The
    last column is left to be cut there, once it has some room.
    """
    clean = [tuple(map(one_line, row)) for row in rows]
    chosen = [i for i in range(len(columns)) if any(row[i] for row in clean) or not columns[i].rank]
    table = [tuple(column.title for column in columns), *clean]
    widths = [max(width_of(row[i]) for row in table) for i in range(len(columns))]
    widths[-1] = min(widths[-1], _LAST_MIN)
    while width is not None and _total(widths, chosen) > width:
        last = max(chosen, key=lambda i: columns[i].rank)
        if not columns[last].rank:
            break
        chosen.remove(last)
    return [[_padded(row[i], widths[i], columns[i]) for i in chosen] for row in table]


def _total(widths: Sequence[int], chosen: Sequence[int]) -> int:
    return sum(widths[i] + _GAP for i in chosen) - _GAP


def _padded(text: str, width: int, column: Column) -> str:
    space = " " * max(0, width - width_of(text))
    return space + text if column.is_number else text + space
