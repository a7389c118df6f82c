"""Whom or what something is about: how two names of a subject are compared, and whether a text has
one. Every agent that keeps content asks here, or a deletion would mean something else in each.
"""

from __future__ import annotations

import re
import unicodedata

DEFAULT_NAMESPACE = "default"


def folded(subject: str) -> str:
    """What two ways to write one name have in common: neither case, nor the width of white space,
    nor how accents are composed.
    """
    text = unicodedata.normalize("NFKC", subject).casefold()
    return " ".join(unicodedata.normalize("NFKC", text).split())


class Mention:
    """Finds the words of a subject in texts, one behind the other and whole: `Ann` is in `Ann's`
    and not in `Anna`.
    """

    def __init__(self, subject: str) -> None:
        words = folded(subject)
        before = r"(?<!\w)" if _in_word(words[:1]) else ""
        after = r"(?!\w)" if _in_word(words[-1:]) else ""
        self._pattern = re.compile(before + re.escape(words) + after) if words else None

    def is_in(self, text: str) -> bool:
        return self._pattern is not None and self._pattern.search(folded(text)) is not None


def _in_word(letter: str) -> bool:
    return re.fullmatch(r"\w", letter) is not None
