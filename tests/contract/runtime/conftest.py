"""One control for all tests of a runtime, and one host for those that only look and call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tandemkit.testing.parts import short_folder
from tests.contract.runtime.case import Runtime
from tests.contract.runtime.hosted import Fleet, Host, fleet_of

# The suite's asserts explain themselves like those of a test module.
for _part in (
    *("adding", "calls", "classes", "drains", "faces", "fronts", "limits"),
    *("members", "oversight", "traces"),
):
    pytest.register_assert_rewrite(f"tests.contract.runtime.{_part}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(runtime: Runtime) -> AsyncIterator[Fleet]:
    with short_folder() as folder:
        async with fleet_of(runtime, folder) as fleet:
            yield fleet


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(fleet: Fleet) -> Host:
    return await fleet.start()
