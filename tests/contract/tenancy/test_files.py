"""What an agent deletes by subject is in no byte of its files when it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from tandem.memory.v1 import subject_pb2 as pb
from tandemkit.rpc.contract import Method
from tandemkit.testing.agents import serving
from tests.cluster.remnants import Remnants
from tests.contract.tenancy.asking import SETTINGS
from tests.contract.tenancy.planting import LABELLED, PLANTED, WORD, Planted

# A subject, however it is written, and everything that there is.
SUBJECT: dict[str, Any] = {"subject": WORD.upper(), "mentions": True}
NAMESPACE: dict[str, Any] = {"whole_namespace": True}
CASES = (
    *(pytest.param(one, SUBJECT, id=f"{one.agent.name}-subject") for one in PLANTED),
    *(pytest.param(one, SUBJECT, id=f"{one.agent.name}-label") for one in LABELLED),
    *(pytest.param(one, NAMESPACE, id=f"{one.agent.name}-namespace") for one in PLANTED),
)


async def _told(channel: grpc.aio.Channel, method: Method, request: Message) -> list[Any]:
    """The answers of one call."""
    codecs = method.request.SerializeToString, method.response.FromString
    if method.server_streaming:
        stream: Any = channel.unary_stream(method.path, *codecs)
        return [one async for one in stream(request, timeout=20)]
    unary: Any = channel.unary_unary(method.path, *codecs)
    return [await unary(request, timeout=20)]


@pytest.mark.parametrize(("planted", "whom"), CASES)
async def test_what_is_deleted_is_in_no_byte_of_the_agents_files(
    planted: Planted, whom: dict[str, Any], tmp_path: Path
) -> None:
    """It was there, was exported, and is gone with the answer, not with the next restart."""
    search, agent = Remnants(WORD), planted.agent
    methods = {one.name: one for one in agent.promise.methods}
    settings = SETTINGS.get(agent.name)
    async with serving(agent, settings=settings, state_dir=tmp_path) as channel:

        async def exported() -> list[pb.SubjectRecord]:
            asked = pb.ExportSubjectRequest(**whom)
            told = await _told(channel, methods["ExportSubject"], asked)
            return [record for one in told for record in one.records]

        for method, request in planted.requests:
            await _told(channel, method, request)
        assert search.below(tmp_path)
        assert {record.agent for record in await exported()} == {agent.promise.service.full_name}
        asked = pb.DeleteSubjectRequest(**whom)
        (deleted,) = await _told(channel, methods["DeleteSubject"], asked)
        assert deleted.deleted >= 1
        assert search.below(tmp_path) == set()
        assert await exported() == []
    assert search.below(tmp_path) == set()
