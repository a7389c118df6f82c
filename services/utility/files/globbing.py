"""Names by glob and lines by pattern, both on RE2: linear in the input, whatever that is."""

from __future__ import annotations

import re
from typing import Protocol, cast

import re2

from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

# Memory for one compiled pattern; past it RE2 refuses the pattern, or falls back to a slower linear
# engine.
_PATTERN_BYTES_MAX = 4 * 1024 * 1024

# In the order in which they are tried. A `[` without its `]` is itself.
_TOKENS = re.compile(r"(?P<folders>\*\*/)|(?P<all>\*\*)|(?P<set>\[!?\]?[^\]/]*\])|.", re.DOTALL)


class Match(Protocol):
    def start(self) -> int: ...


class Pattern(Protocol):
    """What we use of a compiled pattern; the package has no types of its own."""

    def search(self, text: bytes, pos: int = 0) -> Match | None: ...
    def fullmatch(self, text: bytes) -> Match | None: ...


def line_pattern(pattern: str, *, ignore_case: bool) -> Pattern:
    """Compiles for a search through many lines at once: `^` and `$` are a line's, and no match
    crosses into the next.
    """
    return _compiled(f"(?m){pattern}", field="content_pattern", ignore_case=ignore_case)


def name_pattern(glob: str) -> Pattern:
    """Compiles a glob for a full match. `*` and `?` stay within a component, `**/` stands for any
    number of folders.
    """
    return _compiled("".join(map(_translated, _TOKENS.finditer(glob))), field="name_glob")


def _translated(token: re.Match[str]) -> str:
    match token.lastgroup, token.group():
        case "folders", _:
            return "(?:[^/]+/)*"
        case "all", _:
            return ".*"
        case "set", text:
            inner = text[1:-1]
            negation = "^" if inner.startswith("!") else ""
            escaped = inner.removeprefix("!").replace("\\", "\\\\").replace("[", "\\[")
            escaped = escaped.replace("^", "\\^").replace("]", "\\]")
            return f"[{negation}{escaped}]"
        case _, "*":
            return "[^/]*"
        case _, "?":
            return "[^/]"
        case _, text:
            return cast("str", re2.escape(text))


def _compiled(pattern: str, *, field: str, ignore_case: bool = False) -> Pattern:
    options = re2.Options()
    options.log_errors = False
    options.never_nl = field == "content_pattern"
    options.case_sensitive = not ignore_case
    options.max_mem = _PATTERN_BYTES_MAX
    try:
        # Bytes, so that offsets count bytes; RE2 still reads them as UTF-8.
        return cast("Pattern", re2.compile(pattern.encode(), options))
    except re2.error as error:
        raise CallerError(
            errors.ERROR_REASON_BAD_FILE_REQUEST,
            "the pattern is not sound",
            field=field,
            rule=field,
        ) from error
