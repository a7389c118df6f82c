"""Headings on the way down a file: from (level, title, place) to paths and sections."""

from __future__ import annotations

from tandemkit.ml.documents.document import Section

_TITLE_CHARS_MAX = 200


class Outline:
    """Follows the headings of a file in its order. A heading ends all of its level and deeper."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str, int]] = []
        self._sections: list[Section] = []

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(title for _, title, _ in self._open)

    def enter(self, level: int, title: str, start_char: int) -> tuple[str, ...]:
        """The path to the section that starts here."""
        self.leave(level, start_char)
        self._open.append((level, " ".join(title.split())[:_TITLE_CHARS_MAX], start_char))
        return self.path

    def leave(self, level: int, end_char: int) -> None:
        """Ends every section of this level and of deeper ones."""
        while self._open and self._open[-1][0] >= level:
            path = self.path
            _, _, start_char = self._open.pop()
            self._sections.append(Section(start_char, end_char, path))

    def sections(self, end_char: int) -> tuple[Section, ...]:
        """All of them, outer before inner, as they start."""
        self.leave(-1, end_char)
        return tuple(sorted(self._sections, key=lambda one: (one.start_char, -one.end_char)))
