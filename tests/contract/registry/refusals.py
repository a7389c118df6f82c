"""A backend that asks who calls: strangers are told so at once, and change nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Protocol

import pytest

from tandemkit.reach.failure import Refused
from tandemkit.registry.protocol import Event, Leadership, Lease, Registry, Versioned
from tests.contract.registry.case import Case, watching
from tests.contract.registry.leases import LONG_TTL_S


class Guarded(Case, Protocol):
    """A backend whose clients log in; `open` gives one that may do what we document."""

    async def open_stranger(self) -> Registry:
        """A client without a login."""


class RefusalSuite:
    """For backends that ask who calls."""

    async def test_a_stranger_is_refused_at_once(self, case: Guarded) -> None:
        """Every call says so before half of its time is up, a watch too, and nothing is done."""
        known, stranger = await case.open(), await case.open_stranger()
        lease = await known.open_lease("host-a", LONG_TTL_S)
        await known.register(lease, "agents/one", b"a")
        leader = await known.elect("planner", "control-a", LONG_TTL_S)
        assert leader
        version = await known.put("policy", b"one", leadership=leader)
        for call in each_call(stranger, lease, leader):
            asked_s = case.clock.monotonic_s()
            with pytest.raises(Refused):
                await call()
            assert case.clock.monotonic_s() - asked_s < 1.0
        await known.renew(lease)
        await known.keep(leader)
        assert await known.get("policy") == Versioned(b"one", version)
        async with watching(case, known) as watched:
            assert watched.values() == {"agents/one": b"a"}

    async def test_who_may_is_not_refused(self, case: Guarded) -> None:
        """The rights that we document are enough for every call."""
        known = await case.open()
        lease = await known.open_lease("host-a", LONG_TTL_S)
        leader = await known.elect("planner", "control-a", LONG_TTL_S)
        assert leader
        for call in each_call(known, lease, leader):
            await call()


def each_call(
    registry: Registry, lease: Lease, leader: Leadership
) -> list[Callable[[], Awaitable[object]]]:
    """Those that end something come last."""
    return [
        partial(registry.open_lease, "host-b", LONG_TTL_S),
        partial(registry.renew, lease),
        partial(registry.register, lease, "agents/two", b"b"),
        partial(registry.elect, "other", "control-b", LONG_TTL_S),
        partial(registry.keep, leader),
        partial(registry.put, "policy", b"two"),
        partial(registry.put, "other", b"", expected=0),
        partial(registry.put, "policy", b"three", leadership=leader),
        partial(registry.get, "policy"),
        partial(first_event, registry),
        partial(registry.delete, "policy"),
        partial(registry.deregister, lease, "agents/one"),
        partial(registry.resign, leader),
        partial(registry.close_lease, lease),
    ]


async def first_event(registry: Registry) -> Event:
    async with aclosing(registry.watch()) as events:
        return await anext(events)
