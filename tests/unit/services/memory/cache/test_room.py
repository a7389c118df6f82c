"""Which entry goes where there is no room, against the plainest models of both orders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.memory.cache.keeping import Kept, Place
from services.memory.cache.local import Copy, LocalTier
from services.memory.cache.policy import Policies
from services.memory.cache.room import Frequent, Order, Recent
from tandem.memory.config.v1 import cache_pb2 as cfg
from tandem.memory.v1 import cache_entry_pb2 as nouns

_KEYS = st.sampled_from("abcdefg")
# A use of a key, an end of one, or an eviction.
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("used"), _KEYS),
        st.tuples(st.just("gone"), _KEYS),
        st.tuples(st.just("evict"), st.just("")),
    ),
    max_size=120,
)


class _Model:
    """Uses and the moment of the last one by key, and nothing clever."""

    def __init__(self, *, by_frequency: bool) -> None:
        self._by_frequency, self._moment, self._since_aged = by_frequency, 0, 0
        self.known: dict[str, tuple[int, int]] = {}
        self._last = ""

    def used(self, key: str) -> None:
        self._moment += 1
        self._since_aged += 1
        uses, _ = self.known.get(key, (0, 0))
        self.known[key], self._last = (uses + 1, self._moment), key
        if self._since_aged > 10 * len(self.known):
            self._since_aged = 0
            self.known = {one: (max(1, n // 2), at) for one, (n, at) in self.known.items()}

    def least(self) -> str:
        others = [one for one in self.known if one != self._last] or list(self.known)
        order = self.known.__getitem__
        return min(others, key=order if self._by_frequency else lambda one: order(one)[1])


@pytest.mark.parametrize("by_frequency", [False, True], ids=["lru", "lfu"])
@given(steps=_STEPS)
def test_what_goes_is_what_a_plain_model_says(
    *, by_frequency: bool, steps: list[tuple[str, str]]
) -> None:
    """After any uses, ends and evictions."""
    order: Order = Frequent() if by_frequency else Recent()
    model = _Model(by_frequency=by_frequency)
    for what, key in steps:
        if what == "used":
            order.used(key)
            model.used(key)
        elif what == "gone":
            order.gone(key)
            model.known.pop(key, None)
        elif model.known:
            goes = order.least()
            assert goes == model.least()
            order.gone(goes)
            del model.known[goes]


def test_what_was_wanted_often_once_makes_way_for_what_is_wanted_now() -> None:
    """A thousand uses of yesterday do not outweigh the hundreds of today."""
    order = Frequent()
    for _ in range(1000):
        order.used("yesterday")
    for number in range(400):
        order.used(f"today-{number % 4}")
    assert order.least() == "yesterday"


def _copy(key: str, size: int) -> Copy:
    return Copy(Kept.of(nouns.CacheEntry(key=key, value=bytes(size))), 0.0)


@given(
    puts=st.lists(
        st.tuples(st.sampled_from("abc"), _KEYS, st.integers(0, 6000), st.booleans()), max_size=60
    )
)
def test_memory_never_holds_more_than_it_may(puts: list[tuple[str, str, int, bool]]) -> None:
    """Neither of a namespace nor of all; what is counted is what is there."""
    gone: list[str] = []
    said = cfg.CachePolicy(namespaces="b", eviction=cfg.CachePolicy.EVICTION_LFU)
    said.local_bytes_max = 9000
    local = LocalTier(Policies([said]), 15_000, gone.append)
    for namespace, key, size, is_drop in puts:
        if is_drop:
            local.drop(Place(namespace, key))
        else:
            local.put(Place(namespace, key), _copy(key, size))
        held = {
            name: sum(one.kept.cost for one in segment.copies.values())
            for name, segment in local.segments.items()
        }
        assert held == {name: segment.bytes for name, segment in local.segments.items()}
        assert local.bytes == sum(held.values()) <= 15_000
        assert held.get("b", 0) <= 9000
    local.drop_all()
    assert local.bytes == 0


def test_an_entry_that_fits_nowhere_takes_the_older_one_with_it() -> None:
    """A key never answers with what it was before."""
    local = LocalTier(Policies(), 5000, lambda _: None)
    local.put(Place("default", "k"), _copy("k", 10))
    local.put(Place("default", "k"), _copy("k", 5000))
    assert local.get(Place("default", "k")) is None


def test_what_was_changed_on_its_way_here_is_told() -> None:
    """News of a key may overtake the answer that has its older entry."""
    local = LocalTier(Policies(), 5000, lambda _: None)
    with local.filling(Place("a", "k")) as one, local.filling(Place("b", "k")) as other:
        local.drop(Place("a", "k"))
        assert (one.is_outdated, other.is_outdated) == (True, False)
        local.drop_all()
        assert other.is_outdated
