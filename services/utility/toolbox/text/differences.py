"""How two texts differ, line by line.

The lines are matched by a longest common subsequence in bit-parallel form: its cost is bounded by
the product of the line counts / 64, where the usual heuristics have inputs that cost the cube.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from rapidfuzz.distance import LCSseq

_NO_NEWLINE = "\\ No newline at end of file\n"

# Tag, then where a block starts and ends in the text before, and in the text after.
Block = tuple[Literal["equal", "replace"], int, int, int, int]
# The same as difflib types it: more tags on the way in, any on the way out.
Opcode = tuple[Literal["replace", "delete", "insert", "equal"], int, int, int, int]
Hunked = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Difference:
    """A unified diff and its tally."""

    unified: str
    lines_added: int
    lines_removed: int


@dataclass(frozen=True, slots=True)
class DiffOptions:
    """How a diff is written."""

    context_lines: int = 3
    before_name: str = "before"
    after_name: str = "after"


def difference(before: str, after: str, options: DiffOptions) -> Difference:
    """The unified diff of two texts, by lines that end at LF."""
    old, new = _lines(before), _lines(after)
    blocks = _blocks(old, new)
    written = [
        line for hunk in _hunks(blocks, options.context_lines) for line in _write(hunk, old, new)
    ]
    if written:
        written[:0] = [f"--- {options.before_name}\n", f"+++ {options.after_name}\n"]
    return Difference(
        unified="".join(written),
        lines_added=sum(block[4] - block[3] for block in blocks if block[0] != "equal"),
        lines_removed=sum(block[2] - block[1] for block in blocks if block[0] != "equal"),
    )


def line_count(text: str) -> int:
    """Lines that a diff of this text compares."""
    return len(_lines(text))


def _lines(text: str) -> list[str]:
    """Lines with their LF. Not `splitlines`: that would also part at form feeds and the like."""
    *whole, rest = text.split("\n")
    closed = [f"{line}\n" for line in whole]
    return [*closed, rest] if rest else closed


def _blocks(old: Sequence[str], new: Sequence[str]) -> list[Block]:
    """What stays and what goes. The library compares hashes, so lines become numbers first."""
    numbers: dict[str, int] = {}
    left = [numbers.setdefault(line, len(numbers)) for line in old]
    right = [numbers.setdefault(line, len(numbers)) for line in new]
    blocks: list[Block] = []
    for code in LCSseq.opcodes(left, right):
        old_start, new_start = code.src_start, code.dest_start
        tag: Literal["equal", "replace"] = "equal" if code.tag == "equal" else "replace"
        if blocks and tag == blocks[-1][0] == "replace":
            # Removed and added side by side are one change, so that what goes is written first.
            _, old_start, _, new_start, _ = blocks.pop()
        blocks.append((tag, old_start, code.src_end, new_start, code.dest_end))
    return blocks


class _Grouping(SequenceMatcher[str]):
    """The library's way to make hunks of blocks, with blocks that it did not find itself."""

    def __init__(self, blocks: list[Block]) -> None:
        super().__init__()
        self._blocks = blocks

    def get_opcodes(self) -> list[Opcode]:
        return list(self._blocks)


def _hunks(blocks: list[Block], context_lines: int) -> Iterator[Sequence[Hunked]]:
    """Changes with the lines around them; close ones share a hunk."""
    if all(block[0] == "equal" for block in blocks):
        return
    yield from _Grouping(blocks).get_grouped_opcodes(context_lines)


def _write(hunk: Sequence[Hunked], old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    first, last = hunk[0], hunk[-1]
    yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@\n"
    for tag, old_start, old_end, new_start, new_end in hunk:
        if tag == "equal":
            yield from (_line(" ", line) for line in old[old_start:old_end])
            continue
        yield from (_line("-", line) for line in old[old_start:old_end])
        yield from (_line("+", line) for line in new[new_start:new_end])


def _line(mark: str, line: str) -> str:
    return f"{mark}{line}" if line.endswith("\n") else f"{mark}{line}\n{_NO_NEWLINE}"


def _range(start: int, end: int) -> str:
    """A range as GNU diff writes it: an empty one names the line before it."""
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"
