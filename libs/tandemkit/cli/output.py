"""What commands print: text for people, one JSON value for programs; and how they refuse."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from tandemkit.written.near import hint

EXIT_NO = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
_COLUMNS_MIN, _COLUMNS_MAX = 40, 100

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON value instead of text."
)


def examples(*lines: str) -> str:
    """An epilog that click prints as it stands."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


class Refusal(Exception):
    """The command cannot do it; the message is one sentence that says what to do."""

    def __init__(self, message: str, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


def emit(value: Any, *, as_json: bool, text: Callable[[], str]) -> None:
    """Prints `value` as JSON, or what `text` makes of it."""
    click.echo(json.dumps(value, indent=2) if as_json else text())


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as their longest cell; the last one runs free."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join((*cells, row[-1])).rstrip())
    return "\n".join(lines)


def near(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that nothing has: what may have been meant."""
    said = hint(name, known)
    return said if said.endswith("?") else f"{said}."


def wrapped(text: str, indent: str) -> str:
    """A paragraph as wide as the terminal, and never wider than one reads with ease."""
    width = max(_COLUMNS_MIN, min(_COLUMNS_MAX, shutil.get_terminal_size().columns))
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent)
