"""Where a secret turns up that nobody meant to show."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc

from tandemkit.core.token import HEADER
from tandemkit.rpc import trace
from tandemkit.testing.parts import fetch
from tandemkit.testing.tokens import shown
from tests.cluster.mesh.trial_contract import ALPHA, Answer, Question
from tests.cluster.mesh.trial_host import ILL
from tests.cluster.safety.exposed import Exposed, exposed, files_below

pytestmark = [pytest.mark.cluster, pytest.mark.real("envoy")]
PLANTED = "planted-where-a-token-should-be"
SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def fleet() -> AsyncIterator[Exposed]:
    async with exposed() as fleet:
        yield fleet


async def _fail_and_succeed(fleet: Exposed) -> str:
    """Calls of every kind that is logged: refused, sampled, failed inside of the agent; and all
    that the failures said.
    """
    said = []
    ill = fleet.home / "state" / "trial-alpha" / ILL
    for name in ("host", "edge"):
        async with shown(f"127.0.0.1:{fleet.ports[name]}", fleet.token) as channel:
            ask: Any = channel.unary_unary(
                f"/{ALPHA}/Ask", Question.SerializeToString, Answer.FromString
            )
            await ask(Question(), metadata=((trace.HEADER, SAMPLED),))
            ill.touch()
            said.append(await _failure(ask(Question(), metadata=((trace.HEADER, SAMPLED),))))
            ill.unlink()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{fleet.ports[name]}") as bare:
            ask = bare.unary_unary(f"/{ALPHA}/Ask")
            said.append(await _failure(ask(b"", metadata=((HEADER, f"Bearer {PLANTED}"),))))
    return "".join(said)


async def _failure(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await call
    error = ended.value
    return f"{error} {error.debug_error_string()} {error.trailing_metadata()}"


async def _told(fleet: Exposed) -> str:
    """What a host says of itself, to those with and without a token."""
    async with shown(f"127.0.0.1:{fleet.ports['host']}", fleet.token) as channel:
        csds: Any = csds_pb2_grpc.ClientStatusDiscoveryServiceStub(channel)
        channelz: Any = channelz_pb2_grpc.ChannelzStub(channel)
        told = [
            await csds.FetchClientStatus(csds_pb2.ClientStatusRequest()),
            await channelz.GetServers(channelz_pb2.GetServersRequest()),
            await channelz.GetTopChannels(channelz_pb2.GetTopChannelsRequest()),
        ]
    pages = [
        await fetch(f"http://127.0.0.1:{fleet.ports['host http']}/{page}")
        for page in ("health", "metrics")
    ]
    return f"{told} {pages}"


def _children(pid: int) -> Iterator[int]:
    """The process and all that it started."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _children(int(child))


def _kept(fleet: Exposed) -> dict[str, bytes]:
    """What the system shows of its processes, and all that they wrote."""
    paths = [
        Path(f"/proc/{pid}/{name}")
        for process in fleet.processes.values()
        for pid in _children(process.pid)
        for name in ("environ", "cmdline")
    ]
    paths += [path for path in files_below(fleet.home.parent) if path.is_file()]
    return {str(path): path.read_bytes() for path in paths if path != fleet.token.path}


async def test_the_token_turns_up_nowhere(fleet: Exposed) -> None:
    """Neither in arguments and environments, nor in logs, state, answers and what a host tells of
    itself; and a wrong one, which may be another fleet's, neither.
    """
    said = await _fail_and_succeed(fleet)
    told = await _told(fleet)
    places = {"failures": said.encode(), "told": told.encode(), **_kept(fleet)}
    logs = b"".join(text for place, text in places.items() if place.endswith(".log"))
    for event in (b"rpc.refused", b"rpc.sampled", b"rpc.defect"):
        assert event in logs, "what is to be looked through is not there"
    secrets = fleet.secret.encode(), PLANTED.encode()
    assert [place for place, text in places.items() if any(one in text for one in secrets)] == []
    assert len(places) > 10
