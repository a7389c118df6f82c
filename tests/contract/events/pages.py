"""The promises about pages of `tandemkit.storage.events.protocol`, a part of the suite."""

from __future__ import annotations

from tandemkit.storage.events.protocol import Event, NewEvent
from tandemkit.storage.events.replay import replay
from tests.contract.events.case import KIND, Case, first, verdict_of


class PagePromises:
    async def test_a_page_ends_where_its_content_is_enough(self, case: Case) -> None:
        """However many events are asked for, so that a reader's memory bounds nobody's events; who
        goes on behind a page misses none.
        """
        store = await case.open()
        large = [NewEvent(f"event-{number}", KIND, b"x" * 1024 * 1024) for number in range(8)]
        await store.append("hosts/a", large)
        sizes, seen = [], list[Event]()
        while page := await store.read("hosts/a", after=len(seen)):
            sizes.append(len(page))
            seen += page
        assert sizes == [3, 3, 2]
        assert [one.id for one in seen] == [one.id for one in large]
        assert len(await store.read_all()) == len(await store.read_all(prefix="hosts/")) == 3
        assert await first(store, 8) == await first(store, 8, prefix="hosts/") == seen
        counted = await replay(store, "hosts/a", lambda _kept: 0, lambda count, _event: count + 1)
        assert counted == (8, 8)
        assert (await verdict_of(store)).broken is None
