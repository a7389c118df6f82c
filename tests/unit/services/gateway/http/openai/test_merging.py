"""Several streams as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from services.gateway.http.denied import Denied
from services.gateway.http.openai.merging import AT_ONCE, merged


async def words(*said: str, then: Exception | None = None) -> AsyncIterator[str]:
    for one in said:
        yield one
    if then is not None:
        raise then


async def silent(ended: list[str]) -> AsyncIterator[str]:
    try:
        await asyncio.Event().wait()
        yield ""
    finally:
        ended.append("silent")


async def test_all_that_is_said_comes_with_its_number() -> None:
    """Also where there are more streams than are read at once."""
    streams = [words("a", "b") for _ in range(AT_ONCE * 2)]
    found = [one async for one in merged(streams)]
    assert sorted(found) == [(n, said) for n in range(AT_ONCE * 2) for said in "ab"]


@pytest.mark.parametrize("error", [Denied("INTERNAL", "no"), RuntimeError("a defect")])
async def test_the_first_that_fails_ends_all(error: Exception) -> None:
    """Whatever it fails with: nobody waits for what will not come."""
    ended: list[str] = []
    async with asyncio.timeout(5):
        with pytest.raises(type(error)):
            async with aclosing(merged([silent(ended), words("a", then=error)])) as answers:
                async for _ in answers:
                    pass
    assert ended == ["silent"]
