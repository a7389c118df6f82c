"""Patterns that cannot be made to hang: RE2 finds a match in time linear in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import re2
from re2 import _Match, _Regexp

from services.utility.toolbox.limits import refuse_above
from services.utility.toolbox.offload import checkpoint
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

# The binding gives these two no public names.
Match: TypeAlias = _Match
Pattern: TypeAlias = _Regexp

# A dollar sign of a replacement: `$$`, `$1` to `$99`, `${1}`, `${name}`, or one that says nothing.
_REFERENCE = re.compile(r"\$(?:(\$)|([0-9]{1,2})|\{(\w{1,64})\}|)")


@dataclass(frozen=True, slots=True)
class PatternOptions:
    """How an expression reads."""

    literal: bool = False
    ignore_case: bool = False
    multiline: bool = False
    dot_matches_newline: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """What a capturing group matched; a span of -1, -1 where it took no part."""

    name: str
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """One match, in code points from the start of the text."""

    start: int
    end: int
    text: str
    groups: tuple[Group, ...]


def compile_pattern(
    expression: str, options: PatternOptions, *, memory_bytes_max: int, field: str
) -> Pattern:
    """Compiles an RE2 expression, or raises PATTERN_INVALID for `field`."""
    settings = re2.Options()
    settings.log_errors = False
    settings.max_mem = memory_bytes_max
    settings.case_sensitive = not options.ignore_case
    settings.dot_nl = options.dot_matches_newline
    source = re2.escape(expression) if options.literal else expression
    try:
        return re2.compile(f"(?m){source}" if options.multiline else source, settings)
    except re2.error as refused:
        raise CallerError(
            errors.ERROR_REASON_PATTERN_INVALID,
            "the pattern is not accepted by RE2",
            field=field,
            explanation=_explanation(refused),
        ) from refused


def find(
    pattern: Pattern, text: str, *, matches_max: int, bytes_max: int
) -> tuple[list[Found], bool]:
    """The first matches, and whether more exist. Groups are counted before they are cut out: a
    few hundred nested ones would each repeat the whole text.
    """
    names = {number: name for name, number in pattern.groupindex.items()}
    found: list[Found] = []
    size = 0
    for match in islice(_matches(pattern, text), matches_max + 1):
        size += sum(match.end(number) - match.start(number) for number in range(pattern.groups + 1))
        refuse_above(bytes_max, size, "matches_max")
        found.append(_found(match, names))
    return found[:matches_max], len(found) > matches_max


def replace(
    pattern: Pattern, text: str, template: Template, *, count_max: int, bytes_max: int
) -> tuple[str, int]:
    """Replaces the first `count_max` matches (0: all) and says how many there were.

    The result is counted while it grows: a short text and a long replacement make a large one.
    """
    pieces: list[str] = []
    size_bytes, position, count = 0, 0, 0
    for match in islice(_matches(pattern, text), count_max or None):
        made = (text[position : match.start()], template.expand(match))
        pieces += made
        size_bytes += sum(len(piece.encode()) for piece in made)
        refuse_above(bytes_max, size_bytes, "replacement")
        position, count = match.end(), count + 1
    pieces.append(text[position:])
    refuse_above(bytes_max, size_bytes + len(pieces[-1].encode()), "replacement")
    return "".join(pieces), count


class Template:
    """A replacement, read once: `$1`, `${name}` and `$$` mean something, all else is itself."""

    def __init__(self, source: str, pattern: Pattern, *, literal: bool) -> None:
        self._pieces: list[str | int] = [source] if literal else list(_read(source, pattern))

    def expand(self, match: Match) -> str:
        """The text for one match; a group that took no part gives nothing."""
        return "".join(
            piece if isinstance(piece, str) else match.group(piece) or "" for piece in self._pieces
        )


def _read(source: str, pattern: Pattern) -> Iterator[str | int]:
    position = 0
    for reference in _REFERENCE.finditer(source):
        yield source[position : reference.start()]
        _, number, name = reference.groups()
        group = number or name
        yield _group_number(group, pattern) if group else "$"
        position = reference.end()
    yield source[position:]


def _group_number(reference: str, pattern: Pattern) -> int:
    number: int | None = pattern.groupindex.get(reference)
    if number is None and reference.isascii() and reference.isdigit():
        number = int(reference)
    if number is None or number > pattern.groups:
        raise CallerError(
            errors.ERROR_REASON_PATTERN_INVALID,
            "the replacement refers to a group that the pattern does not have",
            field="replacement",
            reference=f"${reference}",
        )
    return number


def _matches(pattern: Pattern, text: str) -> Iterator[Match]:
    for match in pattern.finditer(text):
        checkpoint()
        yield match


def _found(match: Match, names: dict[int, str]) -> Found:
    groups = tuple(
        Group(
            name=names.get(number, ""),
            start=match.start(number),
            end=match.end(number),
            text=match.group(number) or "",
        )
        for number in range(1, match.re.groups + 1)
    )
    return Found(match.start(), match.end(), match.group(), groups)


def _explanation(refused: re2.error) -> str:
    cause = refused.args[0] if refused.args else ""
    text = cause.decode(errors="replace") if isinstance(cause, bytes) else str(cause)
    return text[:200]
