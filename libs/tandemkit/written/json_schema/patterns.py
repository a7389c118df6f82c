"""Patterns of contracts are RE2's, those of JSON Schema are ECMAScript's: what both understand."""

from __future__ import annotations

import re

import re2

# Exactly RE2's, as other dialects write them.
_SPACES = r" \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# Far fewer than RE2 means: for use where letting more through is no lie.
_CONTROLS = r"\x00-\x1f\x7f-\x9f"
_UNICODE_CLASS = re.compile(r"\\p(?:\{([A-Za-z]+)\}|([A-Z]))")
_NEGATED = re.compile(r"\[\^((?:[^\]\\]|\\.)*)\]")
# Has another meaning elsewhere, or none: groups with flags or names, classes and quotes of RE2.
_OURS_ALONE = re.compile(r"\(\?(?!:)|\\[pPzAQECa]|\[\[:")


def shared(pattern: str) -> str:
    """The pattern for a schema: it may let more through than the contract's, and refuses nothing
    that the contract allows. Empty where there is none.
    """
    told = _NEGATED.sub(lambda found: f"[^{_UNICODE_CLASS.sub(_listed, found[1])}]", pattern)
    if _OURS_ALONE.search(told):
        return ""
    try:
        re.compile(told)
    except re.error:
        return ""
    return told


def takes_nothing(pattern: str) -> bool:
    """Whether the empty text matches."""
    if common := shared(pattern):
        return re.search(common, "") is not None
    quiet = re2.Options()
    quiet.log_errors = False
    return re2.search(pattern, "", quiet) is not None


def _listed(found: re.Match[str]) -> str:
    """The characters of a class that is refused: some of them, where all would be thousands."""
    name = found[1] or found[2]
    return {"C": _CONTROLS, "Cc": _CONTROLS, "Z": _SPACES}.get(name, found[0])
