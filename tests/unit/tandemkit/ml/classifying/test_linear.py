"""The kit's classifier of short texts: what it looks at, and what it learns of few examples."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.ml.classifying.features import BUCKETS, features
from tandemkit.ml.classifying.linear import Linear, pack
from tandemkit.ml.classifying.training import trained


@given(st.text(max_size=300))
def test_features_are_of_length_one_whatever_the_text(text: str) -> None:
    """Or none at all, of a text without words."""
    found = features(text)
    assert all(0 <= bucket < BUCKETS for bucket in found)
    length = math.sqrt(sum(one * one for one in found.values()))
    assert not found or length == pytest.approx(1.0)


def test_case_and_the_number_itself_say_nothing() -> None:
    """How something is asked decides, not how much of it."""
    assert features("Convert 5 miles") == features("convert 12.5 MILES")


def test_few_examples_are_enough_to_tell_words_apart() -> None:
    """Labels count alike, however many texts each has; shares are 1 together."""
    texts = ["a red boat", "the red boat", "one red boat", "blue sky"]
    learned = trained(texts, ["boat", "boat", "boat", "sky"]).classifier()
    likely = learned.probabilities("such a blue sky")
    assert max(likely, key=lambda label: likely[label]) == "sky"
    assert sum(likely.values()) == pytest.approx(1.0)
    assert max(learned.probabilities("").values()) < 0.9


def test_weights_of_other_labels_are_refused() -> None:
    """They would be read as those of the wrong ones."""
    with pytest.raises(ValueError, match="not those of these labels"):
        Linear.read(pack(bytes(BUCKETS)), {"a": 0.0, "b": 0.0}, 1.0)
