"""One fleet for each test, and for each language the driver that it is called with."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tandemkit.testing.parts import short_folder
from tests.interop.building import Built, built
from tests.interop.real_fleet import Fleet, real_fleet

Tell = Callable[[str, object], None]


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    with short_folder() as folder:
        async with real_fleet(folder) as fleet:
            yield fleet


@pytest.fixture
async def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Built:
    """Of the language that the test is parametrized with."""
    return await built(request.param, tmp_path)


@pytest.fixture
def tell(
    capsys: pytest.CaptureFixture[str], record_property: Callable[[str, object], None]
) -> Tell:
    """Says a result aloud, and keeps it in the report."""

    def say(what: str, result: object) -> None:
        record_property(what, str(result))
        with capsys.disabled():
            sys.stdout.write(f"\n{what}: {result}")

    return say
