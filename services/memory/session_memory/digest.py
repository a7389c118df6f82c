"""What was central to turns, in the speakers' own words. Pure, and bounded whatever was said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from tandem.memory.v1.session_pb2 import DigestSentence, Turn
from tandemkit.ml.ranking.textrank import SENTENCES_MAX, best
from tandemkit.ml.text.sentences import sentences
from tandemkit.ml.text.tokens import estimated_tokens
from tandemkit.ml.text.words import words

# Of one turn, so that a long one does not speak for all.
TURN_SENTENCES_MAX: Final = 8
# Of the turns of one chapter, of one volume, and of all that are not kept any more. Even of 10,000
# turns that is about as much as can be ranked at once.
CHAPTER_TOKENS: Final = 100
VOLUME_TOKENS: Final = 200
FORGOTTEN_TOKENS: Final = 600
_SENTENCE_TOKENS_MAX: Final = 80


def chapter(turns: Sequence[Turn]) -> list[DigestSentence]:
    """Of the turns of one, or of those that are there so far."""
    return condensed([one for turn in turns for one in _of_turn(turn)], CHAPTER_TOKENS)


def condensed(said: Sequence[DigestSentence], tokens_max: int) -> list[DigestSentence]:
    """The most central of these that fit together, in their order. Of more than can be ranked the
    earliest are left out.
    """
    known = said[-SENTENCES_MAX:]
    sizes = [estimated_tokens(one.text) for one in known]
    if len(known) == len(said) and sum(sizes) <= tokens_max:
        return list(known)
    return [known[one] for one in best(_bags(known), sizes, tokens_max)]


def text_of(said: Iterable[DigestSentence]) -> str:
    """As one text."""
    return " ".join(one.text for one in said)


def _of_turn(turn: Turn) -> list[DigestSentence]:
    """Sentences that are too long to be quoted are left out."""
    found = [
        DigestSentence(number=turn.number, text=text, subjects=turn.subjects)
        for text in sentences(turn.text)[:SENTENCES_MAX]
        if estimated_tokens(text) <= _SENTENCE_TOKENS_MAX
    ]
    if len(found) <= TURN_SENTENCES_MAX:
        return found
    chosen = best(_bags(found), [1] * len(found), TURN_SENTENCES_MAX)
    return [found[one] for one in chosen]


def _bags(said: Iterable[DigestSentence]) -> list[list[str]]:
    return [words(one.text) for one in said]
