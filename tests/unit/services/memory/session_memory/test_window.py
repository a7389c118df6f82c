"""What of a dialogue goes into a budget, whatever was said."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from services.memory.session_memory import digest
from services.memory.session_memory.dialogue import Dialogue
from services.memory.session_memory.window import window_of
from tandem.memory.v1.session_pb2 import TURN_ROLE_USER, Turn
from tandemkit.ml.text.tokens import estimated_tokens
from tests.unit.services.memory.session_memory.talk import chatter

TEXTS = st.lists(st.text("ab .\n'é我", min_size=1, max_size=120), min_size=1, max_size=60)


def dialogue_of(*texts: str) -> Dialogue:
    turns = (
        Turn(
            number=number,
            turn_id=f"t{number}",
            role=TURN_ROLE_USER,
            text=text,
            tokens=estimated_tokens(text),
        )
        for number, text in enumerate(texts, start=1)
    )
    return Dialogue(turns, [])


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, tokens_max=st.integers(1, 300), query=st.text("ab é", max_size=10))
def test_no_window_is_over_its_budget(texts: list[str], tokens_max: int, query: str) -> None:
    """And none says a turn twice."""
    window = window_of(dialogue_of(*texts), tokens_max, query)
    parts = [window.summary, *(one.text for one in (*window.recalled, *window.turns))]
    assert sum(map(estimated_tokens, parts)) == window.tokens <= tokens_max
    numbers = [one.number for one in (*window.recalled, *window.turns)]
    assert numbers == sorted(set(numbers))


def test_of_a_long_turn_what_the_query_is_about_is_recalled() -> None:
    """Not its beginning."""
    long = " ".join([*chatter(40), "The code of the gate is seven three nine.", *chatter(40, 8)])
    window = window_of(dialogue_of(long, *chatter(30)), 400, "what is the code of the gate")
    (first, *_) = window.recalled
    assert first.is_cut
    assert "seven three nine" in first.text


def test_a_chapter_is_summarised_once() -> None:
    """What came later changes nothing about it, and what was removed is not in it."""
    dialogue = dialogue_of(*chatter(70))
    first = dialogue.central_before(65)
    assert dialogue.central_before(70)[: len(first)] == first
    gone = first[0].number
    dialogue.remove([gone])
    assert gone not in {one.number for one in dialogue.central_before(65)}


def test_a_digest_is_bounded_whatever_was_said() -> None:
    """In sentences of a turn, and in tokens of a chapter."""
    turns = list(dialogue_of(*(" ".join(chatter(60, one)) for one in range(32))).turns.values())
    said = digest.chapter(turns)
    assert 0 < sum(estimated_tokens(one.text) for one in said) <= digest.CHAPTER_TOKENS
    assert [one.number for one in said] == sorted(one.number for one in said)
