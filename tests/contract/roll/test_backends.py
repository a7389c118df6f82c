"""The backends of the process registry, each held to the suite."""

from __future__ import annotations

import pytest

from tandemkit.supervise.roll.cached import CachedRoll
from tandemkit.supervise.roll.hybrid import HybridRoll
from tandemkit.supervise.roll.plain import PlainRoll
from tandemkit.supervise.roll.protocol import Backend, Key
from tests.contract.roll.suite import RollSuite, entry


class TestPlain(RollSuite):
    @pytest.fixture
    def backend(self) -> Backend:
        return PlainRoll()


class TestCached(RollSuite):
    @pytest.fixture
    def backend(self) -> Backend:
        return CachedRoll()


class TestHybrid(RollSuite):
    @pytest.fixture
    def backend(self) -> Backend:
        return HybridRoll(PlainRoll(), CachedRoll())


def test_m004_a_migration_writes_both_and_reads_the_old_one() -> None:
    """And counts what the new one would have said otherwise."""
    old, new = PlainRoll(), CachedRoll()
    hybrid = HybridRoll(old, new)
    hybrid.put(entry(Key("a", "x")))
    assert hybrid.find("a", "x") is old.find("a", "x") is new.find("a", "x")
    assert (hybrid.listed(), hybrid.disagreements) == (old.listed(), 0)
    new.remove(Key("a", "x"))
    assert hybrid.find("a", "x") is old.find("a", "x")
    assert hybrid.listed() == old.listed()
    assert hybrid.disagreements == 2
