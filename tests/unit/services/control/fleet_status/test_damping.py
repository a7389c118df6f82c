"""A host that comes and goes is held out for longer each time, and never for long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.control.fleet_status.damping import HALF_LIFE_S, HOLD_S_MAX, Damping

PAUSES = st.lists(st.floats(min_value=0, max_value=300), min_size=1, max_size=30)


def until_s(damping: Damping, now_s: float) -> float:
    """When the host is held out no longer; the moment itself where it is not held out."""
    return dict(damping.held(now_s)).get("a", now_s)


@given(PAUSES)
def test_no_host_is_held_out_for_long(pauses_s: list[float]) -> None:
    """Whatever it did before, it is back within the longest time after its last lapse."""
    damping, now_s = Damping(), 0.0
    for pause_s in pauses_s:
        now_s += pause_s
        damping.lapsed("a", now_s)
        assert until_s(damping, now_s) <= now_s + HOLD_S_MAX
    assert dict(damping.held(now_s + HOLD_S_MAX)) == {}


@given(st.floats(min_value=3, max_value=10))
def test_each_lapse_holds_it_out_for_longer_until_the_longest(pause_s: float) -> None:
    """Two lapses are let pass; from the third on the time grows."""
    damping, holds_s = Damping(), []
    for number in range(8):
        now_s = number * pause_s
        damping.lapsed("a", now_s)
        holds_s.append(until_s(damping, now_s) - now_s)
    assert holds_s[:2] == [0, 0]
    assert holds_s[2] > 0
    assert holds_s[2:] == sorted(holds_s[2:])


@given(st.integers(min_value=1, max_value=100))
def test_rare_lapses_are_not_held_against_it(count: int) -> None:
    """One in two half-lives, for ever, is never enough."""
    damping = Damping()
    for number in range(count):
        now_s = number * 2 * HALF_LIFE_S
        damping.lapsed("a", now_s)
        assert until_s(damping, now_s) == now_s


@given(PAUSES, PAUSES)
def test_a_host_pays_for_itself_alone(mine_s: list[float], others_s: list[float]) -> None:
    """Its time does not depend on another's lapses, nor on forgetting in between."""
    alone, beside = Damping(), Damping()
    moments_s = [sum(mine_s[: number + 1]) for number in range(len(mine_s))]
    for now_s in moments_s:
        alone.lapsed("a", now_s)
        beside.lapsed("a", now_s)
        for _ in others_s:
            beside.lapsed("b", now_s)
    assert until_s(alone, moments_s[-1]) == until_s(beside, moments_s[-1])
