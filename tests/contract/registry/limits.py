"""What no backend takes, and what each has to."""

from __future__ import annotations

import pytest

from tandemkit.registry.protocol import NAME_LENGTH_MAX, TTL_S_MAX, VALUE_BYTES_MAX
from tests.contract.registry.case import Case, watching
from tests.contract.registry.leases import LONG_TTL_S


class LimitPromises:
    """For every backend."""

    @pytest.mark.parametrize(
        "name",
        ["", "/", "/a", "a/", "a//b", "a b", "a\n", "ä", ".", "..", "a/../b", "x" * 513, "a\0"],
    )
    async def test_what_is_no_name_is_refused(self, case: Case, name: str) -> None:
        """A name that not every backend could hold is refused by each."""
        registry = await case.open()
        lease = await registry.open_lease("host-a", LONG_TTL_S)
        with pytest.raises(ValueError):
            await registry.register(lease, name, b"")
        with pytest.raises(ValueError):
            await registry.open_lease(name, LONG_TTL_S)
        with pytest.raises(ValueError):
            await registry.put(name, b"")
        with pytest.raises(ValueError):
            await registry.get(name)
        with pytest.raises(ValueError):
            await registry.delete(name)
        with pytest.raises(ValueError):
            await registry.elect(name, "host-a", LONG_TTL_S)
        with pytest.raises(ValueError):
            await registry.elect("election", name, LONG_TTL_S)

    @pytest.mark.parametrize("ttl_s", [0.0, -1.0, TTL_S_MAX + 1, float("inf"), float("nan")])
    async def test_what_is_no_time_to_live_is_refused(self, case: Case, ttl_s: float) -> None:
        """A lease and a leadership last for a time, neither none nor forever."""
        registry = await case.open()
        with pytest.raises(ValueError):
            await registry.open_lease("host-a", ttl_s)
        with pytest.raises(ValueError):
            await registry.elect("election", "host-a", ttl_s)

    async def test_the_largest_registration_arrives(self, case: Case) -> None:
        """A key and a value at their limits are kept; one byte more is refused."""
        registry = await case.open()
        key, value = "k" * NAME_LENGTH_MAX, bytes(range(256)) * (VALUE_BYTES_MAX // 256)
        lease = await registry.open_lease("host-a", LONG_TTL_S)
        await registry.register(lease, key, value)
        async with watching(case, registry) as watched:
            assert watched.values() == {key: value}
        with pytest.raises(ValueError):
            await registry.register(lease, key, value + b"!")
