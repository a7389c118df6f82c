"""From a document to the pieces that are indexed. They follow its structure, and cover its text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from tandemkit.ml.documents.cutting import pieces
from tandemkit.ml.documents.document import Block, Document, Kind
from tandemkit.ml.documents.graphemes import trimmed
from tandemkit.ml.text.tokens import estimated_tokens

_LEAD_WORDS, _LEAD_CHARS_MAX = 25, 400
_SCRAP_TOKENS = 12  # a closing bracket, a last word: nothing that anybody looks for


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in tokens, as they are estimated. A chunk is never above `tokens_max`; blocks are
    joined up to `tokens_target`, and sections only while what there is stays below `tokens_min`.
    """

    tokens_min: int = 60
    tokens_target: int = 200
    tokens_max: int = 240  # the default model reads 256, and the headings go with it

    def __post_init__(self) -> None:
        if not 1 <= self.tokens_min <= self.tokens_target <= self.tokens_max:
            raise ValueError("limits of chunks are in the order min, target, max, from 1 on")


@dataclass(frozen=True, slots=True)
class Chunk:
    """`document.text[start_char:end_char]`, and where in the document that is.

    `headings` is the path to it: that of its section, or what its sections have in common.
    `page` is the one it starts on, 0 in a document without pages.
    """

    start_char: int
    end_char: int
    headings: tuple[str, ...]
    page: int
    kind: Kind
    text: str
    tokens: int


@dataclass(slots=True)
class _Open:
    """A chunk to be: blocks that follow one another."""

    blocks: list[Block] = field(default_factory=list)
    tokens: int = 0

    @property
    def is_bare(self) -> bool:
        """Nothing but headings, which say nothing without what they head."""
        return all(block.kind == Kind.HEADING for block in self.blocks)

    def takes(self, block: Block, tokens: int, limits: Limits) -> bool:
        if not self.blocks:
            return True
        together = self.tokens + tokens
        if self.is_bare or (tokens < _SCRAP_TOKENS and block.kind != Kind.HEADING):
            return together <= limits.tokens_max
        if block.headings == self.blocks[-1].headings and block.kind != Kind.HEADING:
            return together <= limits.tokens_target
        return self.tokens < limits.tokens_min and together <= limits.tokens_target


def chunks(document: Document, limits: Limits | None = None) -> Sequence[Chunk]:
    """All of the document's text that is not blank, in order, each character once."""
    limits = limits or Limits()
    return [_chunk(document, opened) for opened in _grouped(document, limits)]


def context_of(document: Document, chunk: Chunk) -> str:
    """What is embedded above a chunk, so that a passage that says "it" is found by what it is
    about: its title and headings, and how its document begins, unless it begins so itself.
    """
    path = list(dict.fromkeys(part for part in (document.title, *chunk.headings) if part))
    said = [" > ".join(path)] if path else []
    lead = _lead(document)
    if lead and lead not in " ".join(chunk.text.split()):
        said.append(lead)
    return "\n".join(said)


def _lead(document: Document) -> str:
    first = next((block for block in document.blocks if block.kind == Kind.PROSE), None)
    if first is None:
        return ""
    end = min(first.end_char, first.start_char + _LEAD_CHARS_MAX)
    return " ".join(document.text[first.start_char : end].split()[:_LEAD_WORDS])


def _grouped(document: Document, limits: Limits) -> Iterator[_Open]:
    opened = _Open()
    for block in document.blocks:
        for piece in _pieces(document, block, limits):
            tokens = estimated_tokens(document.text[piece.start_char : piece.end_char])
            if not opened.takes(piece, tokens, limits):
                yield opened
                opened = _Open()
            opened.blocks.append(piece)
            opened.tokens += tokens
    if opened.blocks:
        yield opened


def _pieces(document: Document, block: Block, limits: Limits) -> Iterator[Block]:
    for start, end in pieces(document.text, block, limits.tokens_max):
        start_char, end_char = trimmed(document.text, start, end)
        if start_char < end_char:
            yield Block(start_char, end_char, block.kind, block.headings)


def _chunk(document: Document, opened: _Open) -> Chunk:
    start, end = opened.blocks[0].start_char, opened.blocks[-1].end_char
    told = [block for block in opened.blocks if block.kind != Kind.HEADING] or opened.blocks
    weights: Counter[Kind] = Counter()
    for block in told:
        weights[block.kind] += block.end_char - block.start_char
    return Chunk(
        start,
        end,
        _shared([block.headings for block in told]),
        document.page_at(start),
        weights.most_common(1)[0][0],
        document.text[start:end],
        opened.tokens,
    )


def _shared(paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    alike = takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))
    return tuple(names[0] for names in alike)
