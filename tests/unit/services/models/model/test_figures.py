"""What is counted of backends, and how they are."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from services.models.model.figures import families
from services.models.model.place import Place, Terms
from services.models.model.tries import Chain, Seat, Tries, answered
from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_pb2 as nouns
from tandemkit.ml.generation.quotes import MODEL, Quoted, QuotesBackend
from tandemkit.ml.servers.server import Crowded, Passing
from tandemkit.reach.failure import Unreachable
from tandemkit.testing.clock import Hasty
from tests.unit.services.models.model.living import request


class Documents:
    """They answer, or fail as they are told."""

    def __init__(self) -> None:
        self.failures: list[Unreachable] = []

    async def ask(self, _question: str, _namespace: str) -> Quoted:
        if self.failures:
            raise self.failures.pop(0)
        return Quoted("With wax. [1]", [chat.QuotedSource(number=1)])


@pytest.fixture
def documents() -> Documents:
    return Documents()


@pytest.fixture
def clock() -> Hasty:
    return Hasty()


@pytest.fixture
def place(documents: Documents, clock: Hasty) -> Place:
    return Place(Terms("first", models=(MODEL,)), QuotesBackend(documents.ask), clock)


async def ask(place: Place, clock: Hasty) -> None:
    seat = Seat(place, MODEL)
    with suppress(Unreachable):
        await answered(
            Tries(Chain([seat]), clock), lambda at: at.place.backend.chat(MODEL, request())
        )


async def test_attempts_failures_and_tokens_are_counted(
    place: Place, documents: Documents, clock: Hasty
) -> None:
    """By backend, each attempt of a request."""
    documents.failures = [Passing("away"), Passing("away")]
    await ask(place, clock)
    found = {one.name: [(s.labels, s.value) for s in one.samples] for one in families([place])}
    labels = {"backend": "first"}
    assert found["tandem_model_attempts"] == [(labels, 3)]
    assert found["tandem_model_failures"] == [(labels, 2)]
    assert found["tandem_model_in_progress"] == [(labels, 0)]
    assert found["tandem_model_completion_tokens"][0][1] > 0
    assert clock.slept_s == [4.0, 4.0]


async def test_what_a_server_says_of_the_pause_counts(
    place: Place, documents: Documents, clock: Hasty
) -> None:
    """As long as nobody would give up meanwhile."""
    documents.failures = [Crowded("busy", 7.0), Crowded("busy", 1.0)]
    await ask(place, clock)
    assert clock.slept_s == [7.0, 4.0]
    documents.failures = [Crowded("busy", 11.0)]
    await ask(place, clock)
    assert clock.slept_s == [7.0, 4.0]


async def test_who_was_sent_once_is_sent_again_beside_others(
    place: Place, documents: Documents, clock: Hasty
) -> None:
    """An outage that many met at once, and that is over before their next attempts, costs none of
    them its answer.
    """
    tries = [Tries(Chain([Seat(place, MODEL)]), clock) for _ in range(12)]
    all_there = asyncio.Barrier(len(tries))

    async def fail(one: Tries) -> None:
        with suppress(Passing):
            async with one.attempt():
                await all_there.wait()
                raise Passing("away")
        await one.failed(Passing("away"))

    await asyncio.gather(*map(fail, tries))
    assert place.look().state == nouns.BACKEND_STATE_LEFT_ALONE
    for one in tries:
        async with one.attempt():
            pass
    assert place.look().state == nouns.BACKEND_STATE_SERVING
    assert place.figures.attempts == 24


async def test_a_backend_is_shown_as_it_is(
    place: Place, documents: Documents, clock: Hasty
) -> None:
    """Before it was asked, while it serves, has too much to do, is away, and is left alone."""
    assert place.look().state == nouns.BACKEND_STATE_UNSPECIFIED
    await ask(place, clock)
    assert place.look().state == nouns.BACKEND_STATE_SERVING
    documents.failures = [Crowded("busy", 11.0)]
    await ask(place, clock)
    assert place.look().state == nouns.BACKEND_STATE_SERVING
    documents.failures = [Unreachable("away")]
    await ask(place, clock)
    shown = place.look()
    assert (shown.state, shown.cause) == (nouns.BACKEND_STATE_UNREACHABLE, "away")
    documents.failures = [Passing("away")] * 3
    await ask(place, clock)
    shown = place.look()
    assert shown.state == nouns.BACKEND_STATE_LEFT_ALONE
    assert 0 < shown.asked_again_in_s <= 20
    await clock.advance(20)
    await ask(place, clock)
    assert place.look().state == nouns.BACKEND_STATE_SERVING
