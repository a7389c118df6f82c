"""What the process was started with, read once and typed."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tandemkit.core.environment import Environment


def test_unset_variables_have_the_places_that_the_xdg_rules_give() -> None:
    """Caches and state lie where other programs of the user keep theirs."""
    found = Environment.read({"HOME": "/home/a"})
    assert found.cache == Path("/home/a/.cache/tandem")
    assert found.home == Path("/home/a/.local/state/tandem")
    assert found.root is None


def test_a_relative_path_counts_as_unset() -> None:
    """Where a run keeps its files never depends on the folder that it was started in."""
    found = Environment.read({"HOME": "/home/a", "XDG_CACHE_HOME": "cache", "TANDEM_HOME": "x"})
    assert found.cache == Path("/home/a/.cache/tandem")
    assert found.home == Path("/home/a/.local/state/tandem")


@given(st.sets(st.sampled_from(["consul", "redis", "nats"])), st.sampled_from([",", ", ", " ,"]))
def test_a_part_is_required_exactly_where_it_is_named(parts: set[str], comma: str) -> None:
    """Neither blanks nor order nor an empty list changes what is demanded."""
    found = Environment.read({"TANDEM_REQUIRE": comma.join(sorted(parts))})
    assert {part for part in ("consul", "redis", "nats") if found.requires(part)} == parts


def test_all_requires_every_part() -> None:
    """`all` needs no list that somebody forgets to extend."""
    assert Environment.read({"TANDEM_REQUIRE": "all"}).requires("anything")
