"""The patterns inside schemas and queries, run on RE2."""

from __future__ import annotations

from services.utility.toolbox.document.values import Budget
from services.utility.toolbox.text.matching import Pattern, PatternOptions, compile_pattern

_BYTES_PER_STEP = 64


class Patterns:
    """Compiles each pattern of one call once, and charges for what it is run over."""

    def __init__(self, budget: Budget, *, memory_bytes_max: int, field: str) -> None:
        self._budget, self._memory_bytes_max, self._field = budget, memory_bytes_max, field
        self._compiled: dict[str, Pattern] = {}

    def matches(self, expression: str, text: str, *, whole: bool = False) -> bool:
        """Whether the pattern matches somewhere in the text, or all of it."""
        self._budget.spend(1 + len(text) // _BYTES_PER_STEP)
        pattern = self._pattern(expression)
        found = pattern.fullmatch(text) if whole else pattern.search(text)
        return found is not None

    def _pattern(self, expression: str) -> Pattern:
        pattern = self._compiled.get(expression)
        if pattern is None:
            self._budget.spend(1 + len(expression))
            pattern = self._compiled[expression] = compile_pattern(
                expression,
                PatternOptions(),
                memory_bytes_max=self._memory_bytes_max,
                field=self._field,
            )
        return pattern


def iregexp_as_re2(expression: str) -> str:
    """An I-Regexp (RFC 9485) in RE2 syntax: the dot excludes CR too, ^ and $ are plain."""
    pieces: list[str] = []
    escaped = in_class = False
    for character in expression:
        if escaped or in_class or character not in ".^$":
            pieces.append(character)
        else:
            pieces.append(r"[^\r\n]" if character == "." else f"\\{character}")
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character in "[]":
            in_class = character == "["
    return "".join(pieces)
