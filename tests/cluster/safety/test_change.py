"""The fleet's token is changed while everything runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tandemkit.core.token import HEADER
from tandemkit.testing.failures import failure_of
from tandemkit.testing.parts import short_folder
from tests.cluster.controlled import Controlled, controlled
from tests.cluster.mesh.trial_contract import BETA, Answer, Question

pytestmark = pytest.mark.cluster
CALLS = 1500


@pytest.fixture
async def fleet() -> AsyncIterator[Controlled]:
    """An agent that calls another one, on hosts of their own."""
    with short_folder() as folder:
        async with controlled(folder) as fleet:
            await asyncio.gather(
                fleet.start_chained("caller", "caller"), fleet.start_chained("callee", "callee")
            )
            await fleet.until_serving("caller", service=BETA)
            yield fleet


async def test_a_change_costs_no_call(fleet: Controlled) -> None:
    """Two, under load: clients and hosts each take the new one over in their own time."""
    client = await fleet.client()
    await client.until_only("Beta/Ask", "callee by ipv4")

    async def change() -> int:
        for share in (5, 2):
            await client.has_made(CALLS // share)
            fleet.token.rotate()
        return await client.made()

    outcome, made = await asyncio.gather(client.run("Beta/Ask", CALLS), change())
    assert made < CALLS, "it was changed after the last call"
    assert outcome.failures == {}
    assert outcome.answers == {"callee by ipv4": CALLS}


async def test_a_token_that_leaked_opens_nothing_any_more(fleet: Controlled) -> None:
    """Anywhere, once its time is over; who starts afterwards is let in by the new one."""
    leaked = fleet.token.bearer
    fleet.token.rotate(grace_s=0)
    for name in ("control", "caller", "callee"):
        async with fleet.at(name) as channel:
            assert await _answers(channel)
        async with grpc.aio.insecure_channel(fleet.address(name)) as bare:
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await _answers(bare, metadata=((HEADER, leaked),))
            assert failure_of(ended.value).reason == "TOKEN_WRONG"
    await fleet.start_chained("late", "callee")
    await fleet.until_serving("caller", service=BETA)


async def _answers(channel: grpc.aio.Channel, **more: Any) -> bool:
    """Whether the server is reached: the control has no such agent, and says so."""
    call: Any = channel.unary_unary(f"/{BETA}/Ask", Question.SerializeToString, Answer.FromString)
    try:
        await call(Question(), **more)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAUTHENTICATED:
            raise
    return True
