"""Answers are quotes that stand where they say, whole where a part says nothing, and none where
nobody answers.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as some

from tandemkit.ml.answering.blocks import Form, blocks, pieces
from tandemkit.ml.answering.extractive import Answer, Source, extracted
from tandemkit.ml.text.fillers import telling
from tandemkit.ml.text.stems import stem

GARDEN = """The garden lies behind the house.

To prune roses, take these steps:

1. Wait for frost to end.
2. Cut above a bud.

```
prune --roses
```

It takes an hour. Tomatoes want water in the morning.
"""
SHED = """A trellis is a frame for plants that climb.

| Tool | For |
| --- | --- |
| spade | digging |
| hoe | weeding |
"""
SOURCES = (
    Source(GARDEN, "Garden", ("Garden", "Roses")),
    Source(SHED, "Shed", ("Shed", "Tools")),
)


def ask(question: str, *sources: Source) -> Answer:
    found = extracted(question, sources or SOURCES)
    for one in found.quotes:
        assert (sources or SOURCES)[one.source].text[one.start : one.end] == one.text
    return found


def test_a_list_comes_whole_with_what_leads_to_it() -> None:
    """Its steps, the sentence before and the command behind are one quote."""
    found = ask("How do I prune roses?")
    first = found.quotes[0].text
    assert first.startswith("To prune roses, take these steps:")
    assert "2. Cut above a bud." in first
    assert found.text.count("[1]") == 1


def test_who_shows_how_to_ask_it_does_not_answer_it() -> None:
    """An example in a manual has all words of the question, and nothing else."""
    manual = Source('Ask it:\n\n```\nask "How do I prune roses?"\n```\n', "Manual", ("Manual",))
    assert {one.source for one in ask("How do I prune roses?", manual, *SOURCES).quotes} == {1}


def test_what_something_is_is_said_by_its_definition() -> None:
    """Before sentences that name it, too."""
    assert ask("What is a trellis?").quotes[0].text.startswith("A trellis is a frame")


def test_a_table_is_not_torn() -> None:
    """A row of a small one brings its head along."""
    found = ask("Which tool is for weeding?")
    assert "| Tool | For |" in found.quotes[0].text
    assert "| hoe | weeding |" in found.quotes[0].text


def test_what_nobody_says_is_not_answered() -> None:
    """Neither with words that all texts have, nor without any."""
    for question in ("What is the capital of France?", "Who bakes the bread?", "", "???"):
        found = ask(question)
        assert (found.quotes, found.text) == ((), "")


def test_meaning_answers_where_words_differ_and_not_where_it_is_far() -> None:
    """The measured likeness of a source decides."""
    question = "When should I irrigate?"
    assert not ask(question).quotes
    near = Source(GARDEN, "Garden", likeness=0.8)
    far = Source(GARDEN, "Garden", likeness=0.05)
    assert ask(question, near).quotes
    assert not ask("Tomatoes morning water?", far).quotes


def test_one_word_or_two_and_other_words_for_it_are_the_same() -> None:
    """People ask with the words that they have."""
    source = Source("Use `rollback` to return to what was. Delete old ones first.", "Restore")
    assert ask("How do I roll back?", source).quotes
    assert ask("How do I remove old ones?", source).quotes


def test_what_weighs_less_answers_where_others_do_not() -> None:
    """Of two that say the same the heavier one is quoted."""
    light, heavy = Source(GARDEN, "Old", weight=0.5), Source(GARDEN, "New")
    assert ask("How do I prune roses?", light, heavy).quotes[0].source == 1
    assert ask("How do I prune roses?", light).quotes[0].source == 0


def test_blocks_are_what_markdown_says() -> None:
    """Lists with their blank lines, code with its fences, tables with all rows."""
    forms = [one.form for one in blocks(GARDEN)]
    assert forms == [Form.PROSE, Form.PROSE, Form.LIST, Form.CODE, Form.PROSE]
    assert [one.form for one in blocks(SHED)] == [Form.PROSE, Form.TABLE]
    assert blocks("```\nnever closed\n")[0].form is Form.CODE


_TEXT = some.text(alphabet="ab \n`#|-*1.:é", max_size=120)


@settings(max_examples=150, deadline=None)
@given(text=_TEXT, question=_TEXT)
def test_no_text_breaks_a_span(text: str, question: str) -> None:
    """Whatever the markup: pieces lie in blocks, blocks in the text, and quotes where they say."""
    end = 0
    for block in blocks(text):
        assert end <= block.start < block.end <= len(text)
        end = block.end
        assert all(block.start <= a <= b <= block.end for a, b in pieces(text, block))
    ask(question, Source(text, likeness=0.9))


def test_words_that_say_nothing_are_left_out_while_others_are_there() -> None:
    """What is left is never nothing."""
    assert telling(["how", "do", "i", "start", "roses"]) == ["roses"]
    assert telling(["how", "do", "i", "start", "it"]) == ["start"]
    assert telling(["how"]) == ["how"]


def test_forms_of_a_word_have_one_stem() -> None:
    """Mostly; and no word loses all of itself."""
    for one, other in (
        ("agents", "agent"),
        ("stopped", "stop"),
        ("scheduling", "schedule"),
        ("policies", "policy"),
        ("restores", "restore"),
    ):
        assert stem(one) == stem(other)
    assert stem("is") == "is"
