"""Proves that a store holds what was written to it, without trusting it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from tandemkit.storage.events.chain import Break, Verifier
from tandemkit.storage.events.protocol import PAGE_EVENTS_MAX, EventStore, Head


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far the chain holds, and where it does not, if anywhere."""

    head: Head
    broken: Break | None = None


async def verified(store: EventStore, noted: Head | None = None) -> AsyncGenerator[Verdict, None]:
    """One verdict a page, so that a long walk shows where it is; the last one counts. What is
    appended meanwhile is not looked at.
    """
    verifier, until = Verifier(noted), await store.head()
    while verifier.head.position < until.position:
        left = until.position - verifier.head.position
        page = await store.read_all(verifier.head.position, limit=min(left, PAGE_EVENTS_MAX))
        broken = verifier.take(page)
        if broken is None and not page:
            broken = Break(verifier.head.position + 1, "is missing")
        if broken is not None:
            yield Verdict(verifier.head, broken)
            return
        yield Verdict(verifier.head)
    yield Verdict(verifier.head, verifier.done(until))
