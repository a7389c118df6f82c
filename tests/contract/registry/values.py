"""Values with versions: what was written is read, and of rival writers one wins."""

from __future__ import annotations

import asyncio

import pytest

from tandemkit.registry.protocol import (
    NAME_LENGTH_MAX,
    VALUE_BYTES_MAX,
    Registry,
    VersionConflict,
    Versioned,
)
from tests.contract.registry.case import Case


class ValuePromises:
    """For every backend."""

    async def test_a_written_value_is_read_by_every_client(self, case: Case) -> None:
        """The value as last written, with the version that the writer was told."""
        mine, other = await case.open(), await case.open()
        assert await mine.get("policy") is None
        first = await mine.put("policy", b"one")
        assert await other.get("policy") == Versioned(b"one", first)
        second = await other.put("policy", b"two")
        assert second > first > 0
        assert await mine.get("policy") == Versioned(b"two", second)

    async def test_only_the_expected_version_is_written_over(self, case: Case) -> None:
        """A writer who knew an older version is refused, and nothing changes."""
        registry = await case.open()
        first = await registry.put("policy", b"one", expected=0)
        second = await registry.put("policy", b"two", expected=first)
        for wrong in (0, first, second + 1):
            with pytest.raises(VersionConflict):
                await registry.put("policy", b"three", expected=wrong)
        with pytest.raises(VersionConflict):
            await registry.put("other", b"three", expected=second)
        assert await registry.get("policy") == Versioned(b"two", second)
        assert await registry.get("other") is None

    async def test_all_values_are_told_with_their_versions(self, case: Case) -> None:
        """And nothing else that the registry keeps; what was deleted is not among them."""
        registry, other = await case.open(), await case.open()
        await registry.elect("planner", "a", 5.0)
        await registry.register(await registry.open_lease("a", 5.0), "hosts/a", b"x")
        versions = {
            key: await registry.put(key, b"of " + key.encode()) for key in ("a", "a/b", "c.d")
        }
        await registry.put("gone", b"x")
        await registry.delete("gone")
        versions["a"] = await registry.put("a", b"of a")
        told = {key: Versioned(b"of " + key.encode(), number) for key, number in versions.items()}
        assert await other.values() == told

    async def test_versions_rise_over_a_deletion(self, case: Case) -> None:
        """A version never comes back, so nobody takes a new value for the one it knew."""
        registry = await case.open()
        versions = []
        for _ in range(3):
            versions.append(await registry.put("policy", b"same", expected=0))
            versions.append(await registry.put("policy", b"same"))
            await registry.delete("policy")
            assert await registry.get("policy") is None
        assert versions == sorted(set(versions))

    async def test_only_the_expected_version_is_deleted(self, case: Case) -> None:
        """A deletion is checked like a write; without an expectation it is harmless twice."""
        registry = await case.open()
        version = await registry.put("policy", b"one")
        for wrong in (0, version + 1):
            with pytest.raises(VersionConflict):
                await registry.delete("policy", expected=wrong)
        await registry.delete("policy", expected=version)
        with pytest.raises(VersionConflict):
            await registry.delete("policy", expected=version)
        await registry.delete("policy")
        await registry.delete("never-was")
        assert await registry.get("policy") is None

    async def test_of_rival_writers_exactly_one_wins(self, case: Case) -> None:
        """Eight writers who know the same version: one is told a new one, seven a conflict."""
        clients = [await case.open() for _ in range(4)]
        version = 0
        for turn in range(10):
            wrote = await asyncio.gather(
                *(
                    _attempt(clients[one % 4], b"%d by %d" % (turn, one), version)
                    for one in range(8)
                )
            )
            (winner,) = [one for one in range(8) if wrote[one] is not None]
            found = await clients[0].get("policy")
            assert found == Versioned(b"%d by %d" % (turn, winner), wrote[winner] or 0)
            assert found.version > version
            version = found.version

    async def test_keys_share_nothing(self, case: Case) -> None:
        """A value's key may begin like another's, and may be a registration's too."""
        registry = await case.open()
        await registry.put("a/b", b"1")
        await registry.put("a/b/c", b"2")
        await registry.put("a", b"3")
        await registry.delete("a/b")
        found = [await registry.get(key) for key in ("a", "a/b", "a/b/c")]
        assert [one and one.value for one in found] == [b"3", None, b"2"]

    async def test_the_largest_value_is_kept(self, case: Case) -> None:
        """Any bytes up to the limit, none too; one byte more is refused."""
        registry = await case.open()
        key, value = "v" * NAME_LENGTH_MAX, bytes(range(256)) * (VALUE_BYTES_MAX // 256)
        version = await registry.put(key, value)
        assert await registry.get(key) == Versioned(value, version)
        with pytest.raises(ValueError):
            await registry.put(key, value + b"!")
        assert await registry.get(key) == Versioned(value, version)
        emptied = await registry.put(key, b"")
        assert await registry.get(key) == Versioned(b"", emptied)


async def _attempt(registry: Registry, value: bytes, expected: int) -> int | None:
    try:
        return await registry.put("policy", value, expected=expected)
    except VersionConflict:
        return None
