"""From bytes to text. The rules, in order: a byte order mark decides; else UTF-8; else the charset
that the media type names; else Windows-1252, unless most of what is not ASCII is good UTF-8: then
that, with U+FFFD for the rest. A file with many NUL bytes is no text, unless its charset has them.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from tandemkit.ml.documents.document import Cause, DocumentFailure

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Where every other byte may be NUL.
_WIDE = frozenset({"utf-16", "utf-16-le", "utf-16-be", "utf-16le", "utf-16be", "utf-32"})
# Python decodes these too, in quadratic time or into something else than is written.
_NO_CHARSETS = frozenset({"punycode", "idna", "unicode-escape", "raw-unicode-escape"})
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_NUL_SHARE_MAX = 0.001
_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Decoded:
    text: str
    encoding: str
    replaced: int


def decoded(content: bytes, charset: str = "") -> Decoded:
    """The text of a file whose `charset`, if any, is a claim and no promise."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _clean(content[len(mark) :].decode(encoding, "replace"), encoding)
    if charset in _WIDE:
        return _clean(content.decode(charset, "replace"), charset)
    if content.count(0) > _NUL_SHARE_MAX * len(content):
        raise DocumentFailure(
            Cause.NOT_TEXT,
            "this file holds bytes that no text has; say its charset if it is text",
            nul_bytes=content.count(0),
        )
    try:
        return _clean(content.decode(), "utf-8")
    except UnicodeDecodeError:
        return _not_utf8(content, charset)


def clean(text: str) -> str:
    """With one character for each newline, and without characters that stores and wires refuse."""
    return _clean(text, "").text


def _not_utf8(content: bytes, charset: str) -> Decoded:
    for name in (charset, "" if _is_mostly_utf8(content) else "cp1252"):
        try:
            known = codecs.lookup(name).name
            if known not in _NO_CHARSETS:
                return _clean(content.decode(known), name)
        except (LookupError, UnicodeError, ValueError):
            continue
    return _clean(content.decode(errors="replace"), "utf-8")


def _is_mostly_utf8(content: bytes) -> bool:
    wrong = content.decode(errors="replace").count(_REPLACEMENT)
    ascii_only = len(content.decode("ascii", "ignore"))
    return wrong * 10 <= len(content) - ascii_only


def _clean(text: str, encoding: str) -> Decoded:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", _REPLACEMENT)
    text = _SURROGATES.sub(_REPLACEMENT, text)
    return Decoded(text, encoding, text.count(_REPLACEMENT))
