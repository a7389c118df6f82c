"""What a check finds in a tree of sources."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Finding:
    """One broken rule, at one line."""

    path: str
    line: int
    rule: str
    message: str
    # 0 where the line says enough.
    column: int = 0

    def __str__(self) -> str:
        column = f":{self.column}" if self.column else ""
        return f"{self.path}:{self.line}{column}: {self.rule}: {self.message}"
