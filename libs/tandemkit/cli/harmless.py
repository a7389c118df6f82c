"""Text of agents and logs, made harmless: whoever shows it cannot trust who wrote it.

A terminal obeys control characters, also the 8-bit ones, and a reader believes what marks of
direction make of a line.
"""

from __future__ import annotations

import re

_OBEYED = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
_CONTROLS = re.compile(f"[{_OBEYED}\ud800-\udfff]")
_BUT_BREAKS = re.compile(f"(?![\n\t])[{_OBEYED}\ud800-\udfff]")


def one_line(text: str) -> str:
    r"""With each character that a terminal would obey written as `\x1b` or `\u202e`."""
    return _CONTROLS.sub(_written, text)


def lines(text: str) -> str:
    """The same, for text that may have lines of its own."""
    return _BUT_BREAKS.sub(_written, text)


def json_text(text: str) -> str:
    """The same in JSON, whose own line breaks stand between its values: it says what it said."""
    return _BUT_BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(found[0])
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
