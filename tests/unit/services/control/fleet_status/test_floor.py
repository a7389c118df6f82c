"""However many hosts fall silent at once, enough of each group stay; who drains goes at once."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.control.fleet_status.damping import HOLD_S_MAX
from services.control.fleet_status.floor import Kind
from services.control.fleet_status.view import DEPARTED_S, View
from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.testing.clock import FakeClock
from tests.unit.services.control.fleet_status.fleet import host
from tests.unit.services.control.fleet_status.test_view import changed, removed, snapshot

HOSTS = {
    one.name: one
    for group, count in (("one", 1), ("two", 2), ("many", 7))
    for one in (host(f"{group}-{number}", 8200 + number, group=group) for number in range(count))
}
# Each on a port of its own, as hosts of one address are.
for port, one in enumerate(HOSTS.values(), start=8200):
    one.port = port


def groups(hosts: tuple[nouns.Host, ...]) -> Counter[str]:
    return Counter(one.group for one in hosts)


def known(clock: FakeClock) -> View:
    view = View(clock)
    view.take(snapshot(1, *HOSTS.values()))
    return view


@given(st.sets(st.sampled_from(sorted(HOSTS))))
def test_lapses_at_one_moment_empty_no_group(lapsed: set[str]) -> None:
    """One of each group stays, and half of it."""
    view = known(FakeClock())
    for name in lapsed:
        view.take(removed(2, name))
    left, were = groups(view.hosts), groups(tuple(HOSTS.values()))
    assert all(left[group] >= max(1, count // 2) for group, count in were.items())
    # Nobody is told who need not be.
    alive = Counter(one.group for name, one in HOSTS.items() if name not in lapsed)
    assert all(left[group] == max(alive[group], count // 2, 1) for group, count in were.items())


@given(st.sets(st.sampled_from(sorted(HOSTS))), st.sets(st.sampled_from(sorted(HOSTS))))
def test_who_drains_is_gone_at_once(drained: set[str], lapsed: set[str]) -> None:
    """Also the last one, and also while others of its group are silent."""
    view = known(FakeClock())
    for name in lapsed - drained:
        view.take(removed(2, name))
    for name in drained:
        view.take(removed(3, name, drained=True))
    assert drained.isdisjoint(one.name for one in view.hosts)


def test_a_snapshot_says_who_drained() -> None:
    """After a gap the same holds as if each removal had been heard."""
    view = known(FakeClock())
    view.take(snapshot(9, drained=["hosts/two-0", "hosts/one-0"]))
    assert groups(view.hosts) == {"two": 1, "many": 3}


def test_one_of_two_that_falls_silent_leaves() -> None:
    """The floor is for blips; silent death is still believed."""
    view = known(FakeClock())
    view.take(removed(2, "hosts/two-0"))
    assert [one.name for one in view.hosts if one.group == "two"] == ["hosts/two-1"]
    assert view.treatments == {}


async def test_who_was_heard_last_is_kept_for_a_minute() -> None:
    """As what it is, with its end; then the group is given up."""
    clock = FakeClock()
    view = known(clock)
    view.take(removed(2, "hosts/two-0"))
    await clock.advance(10)
    view.take(removed(3, "hosts/two-1"))
    (kept,) = view.treatments
    assert kept == "hosts/two-1"
    assert view.treatments[kept].kind is Kind.KEPT
    assert view.treatments[kept].until_s == clock.monotonic_s() + DEPARTED_S
    assert HOSTS[kept] in view.hosts
    await clock.advance(DEPARTED_S)
    assert view.pass_time()
    assert groups(view.hosts)["two"] == 0
    assert view.treatments == {}


def test_what_has_its_port_now_is_not_kept_beside_it() -> None:
    """A restart under another name: the old name is not a second host."""
    view = View(FakeClock())
    view.take(snapshot(1, host("a", 1)))
    view.take(removed(2, "hosts/a"))
    view.take(changed(3, host("b", 1)))
    assert [one.name for one in view.hosts] == ["hosts/b"]


async def flap(view: View, clock: FakeClock, name: str, times: int) -> None:
    for _ in range(times):
        view.take(removed(2, name))
        await clock.advance(3)
        view.take(changed(3, HOSTS[name]))


async def test_a_flapper_is_held_out_and_returns() -> None:
    """With its lease alive; the others of its group take its calls meanwhile."""
    clock = FakeClock()
    view = known(clock)
    await flap(view, clock, "hosts/two-0", 3)
    assert view.treatments["hosts/two-0"].kind is Kind.DAMPED
    assert HOSTS["hosts/two-0"] in view.departed
    assert HOSTS["hosts/two-1"] in view.hosts
    await clock.advance(HOLD_S_MAX)
    assert view.pass_time()
    assert HOSTS["hosts/two-0"] in view.hosts
    assert view.treatments == {}


async def test_a_flapper_is_better_than_nobody() -> None:
    """The only host of a group is never held out, and one that answers goes before a silent one."""
    clock = FakeClock()
    view = known(clock)
    await flap(view, clock, "hosts/one-0", 9)
    await flap(view, clock, "hosts/two-0", 9)
    assert HOSTS["hosts/one-0"] in view.hosts
    view.take(removed(4, "hosts/two-1"))
    assert [one.name for one in view.hosts if one.group == "two"] == ["hosts/two-0"]


class Fleet(RuleBasedStateMachine):
    """Hosts that register, drain, fall silent and return in any order, while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = _Time()
        self.view = View(self.clock)
        self.view.take(snapshot(1, *HOSTS.values()))
        self.alive = set(HOSTS)
        # Groups that had an endpoint and were left by none of their own word since.
        self.drained: set[str] = set()
        self.quiet_s = 0.0

    @rule(seconds=st.floats(min_value=0.1, max_value=40))
    def time_passes(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.quiet_s += seconds
        self.view.pass_time()

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def falls_silent(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.discard(name)
        self.view.take(removed(2, name))
        self.quiet_s = 0.0

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def drains(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.discard(name)
        self.drained.add(name)
        self.view.take(removed(2, name, drained=True))

    @rule(name=st.sampled_from(sorted(HOSTS)))
    def registers(self, name: str) -> None:
        self.alive.add(name)
        self.drained.discard(name)
        self.view.take(changed(3, HOSTS[name]))

    @invariant()
    def no_group_with_a_live_host_is_empty(self) -> None:
        told = {one.name for one in self.view.hosts}
        for group in groups(tuple(HOSTS[name] for name in self.alive)):
            assert any(HOSTS[name].group == group for name in told & self.alive)

    @invariant()
    def who_drained_is_not_told(self) -> None:
        assert self.drained.isdisjoint(one.name for one in self.view.hosts)

    @invariant()
    def after_long_enough_only_leases_count(self) -> None:
        if self.quiet_s > max(DEPARTED_S, HOLD_S_MAX):
            assert {one.name for one in self.view.hosts} == self.alive


class _Time(FakeClock):
    """Moved by hand: a state machine awaits nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s


TestFleet = Fleet.TestCase
