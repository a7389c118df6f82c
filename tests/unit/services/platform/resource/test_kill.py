"""The agent as a process of its own, killed with `kill -9`."""

from __future__ import annotations

import os
import signal
from typing import TypeAlias

from services.platform.resource import agent
from tandem.platform.v1 import resource_service_pb2 as pb
from tandem.platform.v1 import resource_service_pb2_grpc as rpc
from tandemkit.testing.living import living
from tandemkit.testing.parts import short_folder
from tests.unit.services.platform.resource.pools import amounts, ask, written

Resources: TypeAlias = "rpc.ResourceServiceAsyncStub"


async def test_m018_kill_9_takes_nothing_back_that_was_granted() -> None:
    """Nor gives it twice: the next life refuses what the one before gave away."""
    with short_folder() as folder:
        settings = {"poolsFile": written(folder).pools_file, "memoryScale": 1}
        async with living(agent, folder, settings) as (process, channel):
            stub: Resources = rpc.ResourceServiceStub(channel)
            await stub.AcquireGrant(ask("text-tell", amounts(50)), wait_for_ready=True)
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        async with living(agent, folder, settings) as (_, channel):
            stub = rpc.ResourceServiceStub(channel)
            check = pb.CheckGrantRequest(amounts=amounts(20))
            answer = await stub.CheckGrant(check, wait_for_ready=True)
            (missing,) = answer.shortfalls
            assert (missing.free, [one.holder for one in missing.holders]) == (10, ["text-tell"])
            renewed = await stub.RenewGrants(pb.RenewGrantsRequest(holder="text-tell"))
            assert [one.amounts.memory_mib for one in renewed.grants] == [50]
