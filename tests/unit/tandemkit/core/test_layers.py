"""What needs what, and the order that follows."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandemkit.core.layers import Cycle, cycles, in_layers

_NAMES = st.sampled_from("abcdefgh")
_GRAPHS = st.dictionaries(_NAMES, st.lists(_NAMES, unique=True), max_size=8)


def test_names_stand_in_the_first_layer_that_they_can() -> None:
    """Not one later, and within a layer as they came."""
    needs = {"web": ["store", "auth"], "auth": ["store"], "store": [], "clock": []}
    assert in_layers(needs) == [("store", "clock"), ("auth",), ("web",)]


def test_what_is_no_name_is_not_waited_for() -> None:
    """Who is missing is another question."""
    assert in_layers({"web": ["nobody"]}) == [("web",)]


def test_a_cycle_is_told_in_the_direction_of_need() -> None:
    """From its first name by alphabet, so that the same files give the same words."""
    with pytest.raises(Cycle, match=r"^a -> c -> b -> a$"):
        in_layers({"b": ["a"], "a": ["c"], "c": ["b"], "d": ["a"]})


def test_every_knot_is_told_at_once() -> None:
    """Whoever repairs a file wants all of them; what hangs on a knot is none itself."""
    needs = {"a": ["b"], "b": ["a"], "c": ["c"], "d": ["a"], "e": []}
    assert sorted(cycles(needs)) == [("a", "b", "a"), ("c", "c")]


@given(_GRAPHS)
def test_layers_or_a_true_cycle(needs: dict[str, list[str]]) -> None:
    """Either everybody stands behind all that they need, or a path of real needs leads back."""
    found = cycles(needs)
    for path in found:
        assert path[0] == path[-1]
        assert all(callee in needs[caller] for caller, callee in itertools.pairwise(path))
    if not found:
        layers = in_layers(needs)
        place = {name: number for number, layer in enumerate(layers) for name in layer}
        assert place.keys() == needs.keys()
        for name, wanted in needs.items():
            assert place[name] == max((place[one] + 1 for one in wanted if one in needs), default=0)
