"""What a call without the token meets on each path. All other calls of this suite show it."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from tandemkit.testing.failures import failure_of
from tests.contract.calls.paths import OF_A_MESH
from tests.contract.calls.scripted import ProbeStub, Reached, ask

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_call_without_the_token_is_refused_outside_of_the_process(it: Reached) -> None:
    """By the server, before the agent, with the reason that says what to do; who is in the process
    holds the token in any case, and a mesh shows its own.
    """
    asked = []

    async def script(request: Any, _context: Any) -> Any:
        asked.append(request.text)
        return request

    it.agent.script = script
    if it.path in OF_A_MESH:
        assert await it.stub.Echo(ask(), metadata=(("x-other", "header"),))
        return
    stub: Any = ProbeStub(it.reach.bare)
    if it.path == "in-process":
        assert await stub.Echo(ask())
        return
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await stub.Echo(ask())
    failed = failure_of(ended.value)
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
    assert asked == []
