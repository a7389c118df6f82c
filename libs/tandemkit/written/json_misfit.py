"""What protobuf's reader of JSON says of a value that does not fit, in words for who wrote it."""

from __future__ import annotations

import re
from typing import Final

_CHARS_MAX: Final = 300
_FIELD: Final = re.compile(r"Failed to parse (?:\w+\.)*(\w+) field: ")
_PLACE: Final = re.compile(r" at [A-Z]\w*(?:\.\w+|\[\d+\])*\.*$")
_UNKNOWN: Final = re.compile(
    r'no field named "(?P<name>[^"]*)" at "[^".]*\.?(?P<above>[^"]*)"'
    r'\.(?: Available Fields\(except extensions\): "\[(?P<known>.*?)\]")?'
)
# The first that fits counts; what none fits is told as the reader says it.
_WORDS: Final = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"expected string or bytes-like object", "a text is expected"),
        (r"has no len\(\)|Incorrect padding|base64", "bytes are expected, as a text in base64"),
        (r"invalid literal for int\(\) with base 10: '(.*)'", r"\1 is no whole number"),
        (r"Couldn't parse float: (.*)", r"\1 is no number"),
        (r'Couldn\'t parse (?:non-)?integer(?: string)?: "?(.*?)"?\.*$', r"\1 is no whole number"),
        (r"Bool value (.*) is not acceptable for integer", r"\1 is no whole number"),
        (r"Invalid enum value (.*) for enum type (\S+)", r"\1 is no value of \2"),
        (
            r'Duration must end with letter "s": (.*?)\.*$',
            r"\1 is no duration: seconds with an s, such as 1.5s",
        ),
        (r"repeated field \S+ must be in \[\]", "a list is expected"),
        (r"Map field \S+ must be in a dict", "an object is expected"),
        (r"null is not allowed to be used as an element", "a list has no element null"),
    )
)


def misfit(error: Exception) -> tuple[str, str]:
    """The path of the field, empty as far as the reader does not tell it, and what is wrong."""
    said = " ".join(str(error).split())
    path = _FIELD.findall(said)
    if unknown := _UNKNOWN.search(said):
        above = [unknown["above"]] if unknown["above"] else path
        known = (unknown["known"] or "").replace("'", "")
        why = f"there is no such field; there is {known}" if known else "there is no such field"
        return ".".join([*above, unknown["name"]])[:_CHARS_MAX], why[:_CHARS_MAX]
    why = _PLACE.sub("", _FIELD.sub("", said)) or "it does not fit"
    return ".".join(path)[:_CHARS_MAX], _worded(why)[:_CHARS_MAX]


def _worded(why: str) -> str:
    for pattern, words in _WORDS:
        if found := pattern.search(why):
            return found.expand(words)
    return why
