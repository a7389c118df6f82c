"""One spelling for texts that mean the same."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import regex

from services.utility.toolbox.limits import refuse_above

UnicodeForm = Literal["NFC", "NFD", "NFKC", "NFKD"]

_LINE_END = re.compile(r"\r\n|\r|\n")
_LINE_END_KEPT = re.compile(r"(\r\n|\r|\n)")
# Folding and composing feed each other; Unicode's own definition needs two rounds, and no text is
# known to need a third.
_FOLDING_ROUNDS_MAX = 4
# Normal forms sort the marks of a letter, at the square of their number. Unicode's stream-safe
# format allows 30.
_MARKS_MAX = 256
_MARKS = regex.compile(r"\p{M}+")


class Whitespace(Enum):
    """What becomes of white space."""

    AS_IS = "as_is"
    TRIM_LINES = "trim_lines"
    COLLAPSE_SPACES = "collapse_spaces"
    SINGLE_LINE = "single_line"


@dataclass(frozen=True, slots=True)
class Spelling:
    """What is wanted of a text; the default leaves it alone."""

    form: UnicodeForm | None = None
    line_ending: str | None = None
    whitespace: Whitespace = Whitespace.AS_IS
    case_fold: bool = False


def normalize(text: str, spelling: Spelling) -> str:
    """Respells a text. Characters come first, because their normal form may turn them into spaces;
    line ends come before spaces, because trimming must not make two line ends one.
    """
    text = _respell_characters(text, spelling)
    if spelling.line_ending is not None:
        text = _LINE_END.sub(spelling.line_ending, text)
    return _respell_spaces(text, spelling.whitespace)


def _respell_characters(text: str, spelling: Spelling) -> str:
    if spelling.form is not None:
        marks = max((run.end() - run.start() for run in _MARKS.finditer(text)), default=0)
        refuse_above(_MARKS_MAX, marks, "text", unit="combining_marks")
    for _ in range(_FOLDING_ROUNDS_MAX):
        before = text
        if spelling.case_fold:
            text = text.casefold()
        if spelling.form is not None:
            text = unicodedata.normalize(spelling.form, text)
        if text == before or not spelling.case_fold:
            break
    return text


def _respell_spaces(text: str, rule: Whitespace) -> str:
    match rule:
        case Whitespace.AS_IS:
            return text
        case Whitespace.SINGLE_LINE:
            return " ".join(text.split())
        case Whitespace.TRIM_LINES | Whitespace.COLLAPSE_SPACES:
            parts = _LINE_END_KEPT.split(text)
            for index in range(0, len(parts), 2):
                line = parts[index]
                collapse = rule is Whitespace.COLLAPSE_SPACES
                parts[index] = " ".join(line.split()) if collapse else line.strip()
            return "".join(parts)


def slugify(text: str, *, separator: str, code_points_max: int, keep_unicode: bool) -> str:
    """Letters and digits in lower case, joined by `separator`, cut between words if possible."""
    words = _slug_words(text, keep_unicode=keep_unicode)
    if not words:
        return ""
    slug = words[0][:code_points_max]
    for word in words[1:]:
        if len(slug) + len(separator) + len(word) > code_points_max:
            break
        slug += separator + word
    return slug


def _slug_words(text: str, *, keep_unicode: bool) -> list[str]:
    spelling = Spelling(form="NFKC" if keep_unicode else "NFKD", case_fold=True)
    folded = normalize(text, spelling)
    if not keep_unicode:
        folded = folded.encode("ascii", "ignore").decode()
    kept = (character if _may_stay(character) else " " for character in folded)
    return "".join(kept).split()


def _may_stay(character: str) -> bool:
    """Letters, digits, and the marks that scripts such as Devanagari write vowels with."""
    return character.isalnum() or unicodedata.category(character) in ("Mn", "Mc")
