"""What of a dialogue goes into a budget of tokens. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.memory.session_memory import digest
from services.memory.session_memory.dialogue import Dialogue
from tandem.memory.v1.session_pb2 import TURN_ROLE_USER, Turn
from tandemkit.ml.ranking.bm25 import WordIndex
from tandemkit.ml.text.sentences import sentences
from tandemkit.ml.text.tokens import cut_to_tokens, estimated_tokens
from tandemkit.ml.text.words import words

# Of the budget, where not all turns fit.
_SUMMARY_SHARE, _RECALL_SHARE = 0.2, 0.25
_RECALLED_MAX: Final = 8


@dataclass(slots=True)
class Window:
    """`tokens` is what all of it has together."""

    summary: str = ""
    recalled: list[Turn] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    tokens: int = 0


def window_of(dialogue: Dialogue, tokens_max: int, query: str = "") -> Window:
    """The last turns, and what is worth knowing of those before them."""
    turns = list(dialogue.turns.values())
    if not dialogue.forgotten and sum(turn.tokens for turn in turns) <= tokens_max:
        return Window(turns=turns, tokens=sum(turn.tokens for turn in turns))
    rest = tokens_max - int(tokens_max * _SUMMARY_SHARE) - int(tokens_max * _RECALL_SHARE)
    last = _last(turns, rest)
    first = last[0].number if last else dialogue.end
    said = digest.condensed(dialogue.central_before(first), int(tokens_max * _SUMMARY_SHARE))
    summary = digest.text_of(said)
    used = estimated_tokens(summary) + sum(turn.tokens for turn in last)
    wanted = query or _asked(turns)
    found = (dialogue.turns[one] for one, _ in dialogue.searched(wanted) if one < first)
    recalled = _recalled(found, wanted, tokens_max - used)
    used += sum(turn.tokens for turn in recalled)
    return Window(summary, recalled, last, used)


def _last(turns: Sequence[Turn], tokens_max: int) -> list[Turn]:
    """As many as fit; of one that alone does not its beginning."""
    chosen: list[Turn] = []
    room = tokens_max
    for turn in reversed(turns):
        if turn.tokens > room:
            break
        chosen.insert(0, turn)
        room -= turn.tokens
    if turns and not chosen:
        chosen = _cut(turns[-1], cut_to_tokens(turns[-1].text, tokens_max))
    return chosen


def _recalled(found: Iterable[Turn], query: str, tokens_max: int) -> list[Turn]:
    """The best that fit, in their order; of a long turn the sentences that the query is about."""
    chosen: list[Turn] = []
    room = tokens_max
    for turn in found:
        said = [turn] if turn.tokens <= room else _cut(turn, _excerpt(turn.text, query, room))
        chosen += said
        room -= sum(one.tokens for one in said)
        if len(chosen) == _RECALLED_MAX or not room:
            break
    return sorted(chosen, key=lambda turn: turn.number)


def _excerpt(text: str, query: str, tokens_max: int) -> str:
    said = sentences(text)
    index: WordIndex[int] = WordIndex()
    for number, sentence in enumerate(said):
        index.add(number, words(sentence))
    chosen: list[int] = []
    room = tokens_max
    for number, _ in index.search(words(query)):
        tokens = estimated_tokens(said[number])
        if tokens <= room:
            chosen.append(number)
            room -= tokens
    return " ".join(said[number] for number in sorted(chosen))


def _cut(turn: Turn, text: str) -> list[Turn]:
    """Nothing where nothing is left of it."""
    if not text:
        return []
    cut = Turn()
    cut.CopyFrom(turn)
    cut.text, cut.tokens, cut.is_cut = text, estimated_tokens(text), True
    return [cut]


def _asked(turns: Sequence[Turn]) -> str:
    """What the person said last."""
    return next((one.text for one in reversed(turns) if one.role == TURN_ROLE_USER), "")
