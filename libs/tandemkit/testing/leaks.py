"""A test owns what it starts: what still lives when its fixtures are gone, fails it.

tests/conftest.py takes these in as they are called. docs/design/testing.md says what is looked at.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
from collections.abc import AsyncIterator, Generator, Iterable
from typing import Any
from weakref import WeakKeyDictionary

import pytest

from tandemkit.core import environment
from tandemkit.core.clock import SystemClock
from tandemkit.testing.census import Alive, Census
from tandemkit.testing.origins import Origins, is_of_library, noting_tasks

# What was told to end may take a moment, and only then is any time spent here.
PATIENCE_S = 3.0
_LOOK_AGAIN_S = 0.01
_CLOCK = SystemClock()


class Watch:
    """Over all tests of a process."""

    def __init__(self) -> None:
        # A test may run tests, whose processes are both theirs and its own.
        self._mark = {f"TANDEM_TEST_RUN_{os.getpid()}": str(_CLOCK.monotonic_s())}
        self.origins = Origins()
        self._census = Census(self.origins, self._mark)
        self._first: frozenset[Alive] = frozenset()
        self._allowed = self._told = self._first

    def begin(self) -> None:
        environment.hand_to_libraries(self._mark)
        self.origins.heed(self._mark)
        self._first = self._allowed = self._census.take()

    def allow(self) -> None:
        """What lives now has an owner who lives on: a fixture of more than one test."""
        self._allowed = self._census.take()

    def allow_nothing(self) -> None:
        """All tests are over, and with them all fixtures."""
        self._allowed = self._first | self._told

    def found(self) -> list[str]:
        """What a test did that it may not. Nothing of it is held against the next one."""
        sleeps, self.origins.sleeps = self.origins.sleeps, []
        left = self._left()
        for one in left:
            one.end()
        self._allowed |= left
        self._told |= left
        return sorted((*(f"sleep of {one}" for one in sleeps), *map(str, left)))

    def _left(self) -> frozenset[Alive]:
        left = self._census.take() - self._allowed
        if left:
            patience_s = _CLOCK.monotonic_s() + PATIENCE_S
            while left and _CLOCK.monotonic_s() < patience_s:
                threading.Event().wait(_LOOK_AGAIN_S)
                left = self._census.take() - self._allowed
        return left


_WATCH = Watch()


def pytest_configure() -> None:
    _WATCH.begin()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First of its fixtures, so that it ends last, on the test's own loop."""
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and inspect.iscoroutinefunction(item.function)
            and not _outlived(item)
        ):
            item.fixturenames.insert(0, no_task_left.__name__)


def _outlived(item: pytest.Item) -> bool:
    """Whether its loop is also that of fixtures which live on, and start what they need."""
    marker = item.get_closest_marker("asyncio")
    return marker is not None and marker.kwargs.get("loop_scope", "function") != "function"


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    made = yield
    if fixturedef.scope != "function":
        _WATCH.allow()
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, Any, Any]:
    result = yield
    if nextitem is None:
        _WATCH.allow_nothing()
    elif _outlived(item):
        _WATCH.allow()
    _expect_nothing(_WATCH.found())
    return result


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    """Tasks are the test's, though its loop would cancel them in silence."""
    loop = asyncio.get_running_loop()
    begun = WeakKeyDictionary[asyncio.Task[Any], str]()
    loop.set_task_factory(noting_tasks(begun))
    yield
    loop.set_task_factory(None)
    left = {one for one in begun if not one.done() and not is_of_library(one)}
    left.discard(_current())
    if left:
        _, left = await asyncio.wait(left, timeout=PATIENCE_S)
    _expect_nothing(sorted(_told(one, begun[one]) for one in left))


def _current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


def _told(task: asyncio.Task[Any], started: str) -> str:
    work = task.get_coro()
    return f"task {getattr(work, '__qualname__', work)}, started at {started}"


def _expect_nothing(found: Iterable[str]) -> None:
    if said := "\n".join(f"  {one}" for one in found):
        pytest.fail(f"the test leaves behind, or waits by, what it may not:\n{said}", pytrace=False)
