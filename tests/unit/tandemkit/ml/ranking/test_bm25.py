"""Texts found by words."""

from __future__ import annotations

from tandemkit.ml.ranking.bm25 import WordIndex
from tandemkit.ml.text.words import words


def index_of(*texts: str) -> WordIndex[int]:
    index: WordIndex[int] = WordIndex()
    for number, text in enumerate(texts):
        index.add(number, words(text))
    return index


def keys(index: WordIndex[int], question: str) -> list[int]:
    return [key for key, _ in index.search(words(question))]


def test_rare_words_decide() -> None:
    """What few texts say is worth more than what all say."""
    index = index_of("the cat is here", "the dog is here", "the dog is there")
    assert keys(index, "where is the cat?") == [0, 1, 2]


def test_of_equal_texts_the_earlier_comes_first() -> None:
    """So an order is the same each time."""
    assert keys(index_of("one", "one", "one"), "one") == [0, 1, 2]


def test_a_short_text_counts_more_than_a_long_one() -> None:
    """The same word is more of what it says."""
    assert keys(index_of("cat " + "and so on " * 20, "a cat"), "cat") == [1, 0]


def test_what_is_removed_or_replaced_is_not_found() -> None:
    """No trace of it changes what others score."""
    index = index_of("a cat", "a dog", "a cat and a dog")
    index.remove(0)
    index.add(2, words("a bird"))
    index.remove(7)
    assert keys(index, "cat") == []
    fresh: WordIndex[int] = WordIndex()
    fresh.add(1, words("a dog"))
    fresh.add(2, words("a bird"))
    assert index.search(words("a dog")) == fresh.search(words("a dog"))


def test_an_empty_index_finds_nothing() -> None:
    """Nor does an empty question."""
    assert keys(index_of(), "cat") == []
    assert keys(index_of("cat"), "") == []
