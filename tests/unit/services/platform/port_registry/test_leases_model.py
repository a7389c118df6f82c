"""Whatever is asked in whatever order, and however often the registry is killed: one port, one
owner.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from services.platform.port_registry.leases import Ask, Leases
from tandemkit.core.errors import CallerError
from tandemkit.storage.state.owned import State
from tandemkit.storage.state.sqlite import sqlite_state
from tandemkit.testing.clock import FakeClock
from tests.unit.services.platform.port_registry import desk

_OWNERS, _USES = st.sampled_from("abc"), st.sampled_from(("debug", "trace"))
_STEPS = st.one_of(
    st.tuples(st.just("allocate"), _OWNERS, _USES, st.integers(1, 20)),
    st.tuples(st.just("renew"), _OWNERS),
    st.tuples(st.just("release"), _OWNERS),
    st.tuples(st.just("pass"), st.integers(1, 15)),
    st.tuples(st.just("kill")),
)


class _Model:
    """What every owner was told, and until when it holds."""

    def __init__(self, leases: Leases, clock: FakeClock) -> None:
        self.leases, self._clock = leases, clock
        self._told: dict[tuple[str, str], tuple[int, float, float]] = {}
        # What was over when the registry was killed, which by that may last once more.
        self._late: set[tuple[str, str]] = set()

    async def allocate(self, owner: str, use: str, term_s: int) -> None:
        known = self._lasting().get((owner, use))
        try:
            port = (await self.leases.allocate(Ask(owner, use, "grpc", term_s))).lease.port
        except CallerError:
            assert known is None, "an owner lost a port that it had"
            return
        assert known in {None, port}
        others = {key: one for key, one in self._lasting().items() if key != (owner, use)}
        assert port not in others.values(), "a port was given twice"
        self._told[owner, use] = (port, term_s, self._clock.monotonic_s() + term_s)

    async def renew(self, owner: str) -> None:
        mine = {key[1]: port for key, port in self._lasting().items() if key[0] == owner}
        with suppress(CallerError):
            found = {one.use: one.port for one in self.leases.renew(owner)}
            assert mine.items() <= found.items()
            for use in found.keys() - mine.keys():
                assert (owner, use) in self._late
                port, term_s, _ = self._told[owner, use]
                assert found[use] == port
                self._told[owner, use] = (port, term_s, self._clock.monotonic_s() + term_s)
            self._begin_anew(owner)
            return
        assert not mine

    async def release(self, owner: str) -> None:
        mine = {key: port for key, port in self._lasting().items() if key[0] == owner}
        assert set(mine.values()) <= set(await self.leases.release(owner))
        self._told = {key: one for key, one in self._told.items() if key not in mine}

    def killed(self, leases: Leases) -> None:
        """Terms that lasted begin anew; one that was over may as well."""
        self.leases = leases
        self._late |= self._told.keys() - self._lasting().keys()
        self._begin_anew("")

    def check(self) -> None:
        held = {(one.owner, one.use): one.port for one in self.leases.holding.leases()}
        assert self._lasting().items() <= held.items()
        assert len(set(held.values())) == len(held)

    def _lasting(self) -> dict[tuple[str, str], int]:
        now_s = self._clock.monotonic_s()
        return {key: port for key, (port, _, due_s) in self._told.items() if due_s > now_s}

    def _begin_anew(self, owner: str) -> None:
        now_s = self._clock.monotonic_s()
        for key, (port, term_s, _) in list(self._told.items()):
            if key in self._lasting() and owner in {"", key[0]}:
                self._told[key] = (port, term_s, now_s + term_s)


@given(st.lists(_STEPS, max_size=25))
@settings(max_examples=60)
def test_m020_no_port_has_two_owners(steps: list[tuple[object, ...]]) -> None:
    """Nor is one lost before its term ends, a kill of the registry included."""
    asyncio.run(_walk(steps))


async def _walk(steps: list[tuple[object, ...]]) -> None:
    ports = desk.span(6)
    clock = FakeClock()
    with tempfile.TemporaryDirectory() as folder:
        book = desk.book(ports)
        async with sqlite_state(Path(folder) / "ports.sqlite") as store:
            model = _Model(Leases(book, "127.0.0.1", State(store), clock), clock)
            for name, *given_ in steps:
                if name == "kill":
                    model.leases.holding.close()
                    born = Leases(book, "127.0.0.1", State(store), clock)
                    await born.restore()
                    model.killed(born)
                elif name == "pass":
                    await clock.advance(float(str(given_[0])))
                else:
                    await getattr(model, str(name))(*given_)
                model.check()
            model.leases.holding.close()
