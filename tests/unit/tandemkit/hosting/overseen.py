"""A host as the supervisor of its machine has it: seen and commanded over its HostService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from tandem.control.v1 import host_service_pb2 as pb
from tandem.control.v1 import host_service_pb2_grpc as rpc
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandem.utility.v1 import toolbox_service_pb2 as toolbox
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.http_port import listening
from tandemkit.testing.agents import fake_agent
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import failure_of
from tests.unit.tandemkit.hosting.mortal import Mortal
from tests.unit.tandemkit.rpc.probed import Probed

PROBE, TOOLBOX = "probe-probe", "utility-toolbox"


@dataclass
class Overseen:
    """A host with an agent that can be made to fail and a neighbour, and its supervisor's stub."""

    mortal: Mortal
    clock: FakeClock
    channel: grpc.aio.Channel
    http: Any

    @property
    def stub(self) -> Any:
        return rpc.HostServiceStub(self.channel)

    def asked(self, verb: nouns.Verb.ValueType, agent: str = PROBE) -> Any:
        """The call, as it goes on."""
        note = policy.ChangeNote(author="ann", reason="too hungry")
        request = pb.CommandAgentRequest(agent=agent, verb=verb, note=note)
        return self.stub.CommandAgent(request)

    async def command(self, verb: nouns.Verb.ValueType, agent: str = PROBE) -> Any:
        return await self.asked(verb, agent)

    async def refused(self, verb: nouns.Verb.ValueType, agent: str = PROBE) -> Any:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.command(verb, agent)
        return failure_of(refused.value)

    async def echo(self) -> Any:
        server: Any = None
        return await Probed(self.mortal.servicers[-1], server, self.channel).unary("Echo", "you")

    async def state(self, agent: str = PROBE) -> int:
        first: Any = await self.stub.WatchHost(pb.WatchHostRequest()).read()
        (state,) = (int(one.state) for one in first.agents if one.name == agent)
        return state


@asynccontextmanager
async def overseen(folder: Path, mortal: Mortal | None = None) -> AsyncIterator[Overseen]:
    mortal, clock, http = mortal or Mortal(), FakeClock(), listening("127.0.0.1:0")
    address = f"unix:{folder}/sock"
    placed = [Placed(mortal.agent, None), Placed(fake_agent(toolbox.DESCRIPTOR), None)]
    async with (
        hosting(placed, Place(address, folder, clock, 0.0, http=http)),
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield Overseen(mortal, clock, channel, http)
