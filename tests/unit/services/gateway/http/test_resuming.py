"""Streams that go on behind what came last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.rpc.context import Context
from tandemkit.testing.agents import fake_agent
from tests.unit.services.gateway.http.gateways import gateway

WORDS = ("one", "two", "three")


async def _chat(
    request: pb.StreamChatRequest, _context: Context
) -> AsyncIterator[pb.StreamChatResponse]:
    """Its tokens are numbers of words."""
    for number in range(int(request.resume_token or 0), len(WORDS)):
        yield pb.StreamChatResponse(text=WORDS[number], resume_token=str(number + 1))


async def test_a_client_goes_on_behind_the_event_that_came_last(tmp_path: Path) -> None:
    """As browsers ask by themselves: each event has the token as its id."""
    body = {"messages": [{"role": "CHAT_ROLE_USER", "content": "a"}]}
    async with gateway(tmp_path, fake_agent(pb.DESCRIPTOR, StreamChat=_chat)) as it:
        path = f"{it.url}/api/models-model/StreamChat"
        async with it.client.post(path, json=body) as told:
            whole = (await told.text()).split("\n\n")
        assert whole[0] == 'id: 1\ndata: {"text":"one","resumeToken":"1"}'
        headers = {"Last-Event-ID": "1"}
        async with it.client.post(path, json=body, headers=headers) as told:
            assert (await told.text()).split("\n\n") == whole[1:]
