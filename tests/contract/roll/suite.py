"""What every backend of the process registry promises."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tandemkit.supervise.roll.owners import Owner
from tandemkit.supervise.roll.protocol import Backend, Entry, Key

_KEYS = st.builds(Key, st.sampled_from(["a", "b", "a-b"]), st.sampled_from(["x", "y", "x1", "Z"]))
_STEPS = st.lists(st.tuples(_KEYS, st.none() | st.integers(1, 9)), max_size=30)
_SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def entry(key: Key, pid: int = 1) -> Entry:
    return Entry(key, Owner(pid, 5, "boot"), _SINCE)


class RollSuite:
    """`backend` yields an empty one."""

    def test_what_was_put_is_found(self, backend: Backend) -> None:
        """The very entry, until another one takes its place."""
        first, second = entry(Key("a", "x")), entry(Key("a", "x"), 2)
        backend.put(first)
        assert backend.find("a", "x") is first
        backend.put(second)
        assert backend.find("a", "x") is second
        assert len(backend) == 1

    def test_what_is_not_there_is_not_found(self, backend: Backend) -> None:
        """Neither by name, nor in a listing; to remove it does no harm."""
        backend.remove(Key("a", "x"))
        assert backend.find("a", "x") is None
        assert backend.listed() == backend.listed("a") == ()
        backend.put(entry(Key("a", "x")))
        backend.remove(Key("a", "x"))
        assert backend.find("a", "x") is None
        assert backend.listed() == backend.listed("a") == ()
        assert len(backend) == 0

    def test_namespaces_do_not_meet(self, backend: Backend) -> None:
        """One name stands once in each; listings are in the order of their keys."""
        keys = [Key("b", "x"), Key("a", "y"), Key("a", "x"), Key("a-b", "x")]
        for key in keys:
            backend.put(entry(key))
        assert [one.key for one in backend.listed()] == sorted(keys)
        assert [one.key for one in backend.listed("a")] == [Key("a", "x"), Key("a", "y")]
        assert backend.listed("c") == ()

    def test_a_listing_is_what_it_was_when_it_was_made(self, backend: Backend) -> None:
        """A later write changes the next one and not this."""
        backend.put(entry(Key("a", "x")))
        before = backend.listed("a")
        backend.put(entry(Key("a", "y")))
        backend.remove(Key("a", "x"))
        assert [one.key.name for one in before] == ["x"]
        assert [one.key.name for one in backend.listed("a")] == ["y"]
        assert [one.key.name for one in backend.listed()] == ["y"]

    @given(steps=_STEPS)
    @settings(
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ]
    )
    def test_any_writes_come_to_what_a_dictionary_would(
        self, backend: Backend, steps: list[tuple[Key, int | None]]
    ) -> None:
        """With reads between them, which may leave nothing stale behind."""
        for one in backend.listed():
            backend.remove(one.key)
        model: dict[Key, Entry] = {}
        for key, pid in steps:
            if pid is None:
                backend.remove(key)
                model.pop(key, None)
            else:
                model[key] = entry(key, pid)
                backend.put(model[key])
            assert backend.find(*key) is model.get(key)
            assert backend.listed() == tuple(model[one] for one in sorted(model))
            for namespace in ("a", "b", "a-b"):
                wanted = [model[one] for one in sorted(model) if one.namespace == namespace]
                assert backend.listed(namespace) == tuple(wanted)
            assert len(backend) == len(model)
