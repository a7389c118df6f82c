"""How often an instance is asked, and when it is well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.platform.service_registry.checking import Checker, Health, Pace
from tandemkit.hosting.news import News
from tandemkit.reach.probes import Unwell
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.clock import FakeClock

URL = "http://127.0.0.1:1/"


class Patient:
    """Answers as it is told, and counts how often it was asked."""

    def __init__(self) -> None:
        self.cause = ""
        self.asked: list[str] = []
        self.hold: asyncio.Event | None = None

    async def ask(self, url: str) -> None:
        self.asked.append(url)
        if self.hold is not None:
            await self.hold.wait()
        if self.cause:
            raise Unwell(self.cause)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def patient() -> Patient:
    return Patient()


@asynccontextmanager
async def checking(patient: Patient, clock: FakeClock, news: News) -> AsyncIterator[Checker]:
    checker = Checker(patient.ask, clock, Pace(10.0, 2), news, draw=lambda: 0.5)
    async with Tasks() as tasks:
        tasks.spawn("checks", checker.run())
        yield checker


async def test_a_new_one_is_asked_at_once_and_then_by_the_interval(
    patient: Patient, clock: FakeClock
) -> None:
    """Until nobody wants it any more."""
    async with checking(patient, clock, News()) as checker:
        checker.want({"a": URL})
        assert checker.health("a") == Health()
        await clock.advance(0)
        assert checker.health("a").well is True
        await clock.advance(9.9)
        assert len(patient.asked) == 1
        await clock.advance(0.2)
        assert len(patient.asked) == 2
        checker.want({})
        await clock.advance(60)
        assert len(patient.asked) == 2
        assert checker.health("a") == Health()


async def test_one_failure_of_a_well_one_is_forgiven(patient: Patient, clock: FakeClock) -> None:
    """The second in a row is not; who was never well is not given the benefit of a doubt."""
    news = News()
    async with checking(patient, clock, news) as checker:
        with news.heard() as heard:
            checker.want({"a": URL})
            await clock.advance(0)
            assert heard.is_set()
            heard.clear()
            patient.cause = "ill"
            await clock.advance(10)
            assert (checker.health("a").well, checker.health("a").cause) == (True, "ill")
            assert not heard.is_set()
            await clock.advance(10)
            assert checker.health("a").well is False
            assert heard.is_set()
            patient.cause = ""
            await clock.advance(10)
            assert checker.health("a").well is True
        patient.cause = "ill"
        checker.want({"a": URL, "b": URL})
        await clock.advance(0)
        assert checker.health("b").well is False


async def test_a_url_that_changed_is_asked_anew(patient: Patient, clock: FakeClock) -> None:
    """What the old one answered last counts for nothing, even where it answers late."""
    patient.hold = asyncio.Event()
    async with checking(patient, clock, News()) as checker:
        checker.want({"a": URL})
        await clock.advance(0)
        checker.want({"a": f"{URL}new"})
        assert checker.health("a") == Health()
        hold, patient.hold, patient.cause = patient.hold, None, "ill"
        await clock.advance(0)
        assert checker.health("a").well is False
        patient.cause = ""
        hold.set()
        await clock.advance(0)
        assert patient.asked == [URL, f"{URL}new"]
        assert checker.health("a").well is False


async def test_one_that_hangs_keeps_nobody_waiting(patient: Patient, clock: FakeClock) -> None:
    """It is asked once at a time, and whoever waits for it waits no longer than that takes."""
    patient.hold = asyncio.Event()
    async with checking(patient, clock, News()) as checker:
        checker.want({"a": URL})
        await clock.advance(60)
        assert len(patient.asked) == 1
        await checker.settled(["a"], 0.01)
        assert checker.health("a").well is None
        hold, patient.hold = patient.hold, None
        checker.want({"a": URL, "b": URL})
        await clock.advance(0)
        assert checker.health("b").well is True
        hold.set()
        await checker.settled(["a", "b", "c"], 5)
        assert checker.health("a").well is True
