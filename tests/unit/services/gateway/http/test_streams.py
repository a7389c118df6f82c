"""Streams over HTTP, and who leaves one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tandem.platform.v1 import feature_flag_service_pb2 as flags
from tandemkit.testing.agents import fake_agent
from tests.unit.services.gateway.http.gateways import Gateway, Probing, gateway

LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture
def probing() -> Probing:
    return Probing()


@pytest_asyncio.fixture
async def it(tmp_path: Path, probing: Probing) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path, probing.agent) as running:
        yield running


async def test_who_hangs_up_cancels_the_call_at_the_agent(it: Gateway, probing: Probing) -> None:
    """Nobody works for a caller who has gone."""
    path = f"{it.url}/api/probe-probe/Tail"
    async with it.client.post(path, json={"text": "a forever"}) as told:
        assert await told.content.readline() == b'data: {"text":"a"}\n'
        told.close()
    await asyncio.wait_for(probing.hung_up.wait(), 5)


async def test_who_asks_for_the_head_alone_has_no_stream_made(tmp_path: Path) -> None:
    """It would go on for nobody, for as long as the connection is kept."""
    watched: list[object] = []

    async def watch(request: object, _context: object) -> AsyncIterator[Any]:
        watched.append(request)
        await asyncio.Event().wait()
        yield flags.WatchFlagsResponse()

    async with gateway(tmp_path, fake_agent(flags.DESCRIPTOR, WatchFlags=watch)) as it:
        path = f"{it.url}/api/platform-feature-flag/WatchFlags"
        async with it.client.head(path) as told:
            assert (told.status, told.headers["content-type"]) == (200, "text/event-stream")
            assert await told.read() == b""
        async with it.client.get(path) as told:
            assert told.status == 200
            assert len(watched) == 1


async def _events(told: Any) -> list[str]:
    return [one for one in (await told.text()).strip().split("\n\n") if one != ":"]


async def test_a_stream_of_responses_is_one_of_events(it: Gateway) -> None:
    """With a good end that is said, so that a stream which broke is not taken for one."""
    path = f"{it.url}/api/probe-probe/Tail"
    async with it.client.post(path, json={"text": "a ü"}) as told:
        assert told.headers["content-type"] == "text/event-stream"
        found = await _events(told)
    assert found == ['data: {"text":"a"}', 'data: {"text":"ü"}', "event: end\ndata: {}"]


async def test_a_stream_is_lines_of_json_for_who_asks_for_them(it: Gateway) -> None:
    """One object a line."""
    path = f"{it.url}/api/probe-probe/Tail"
    headers = {"accept": "application/x-ndjson"}
    async with it.client.post(path, json={"text": "a b"}, headers=headers) as told:
        assert told.headers["content-type"] == "application/x-ndjson"
        assert await told.text() == '{"text":"a"}\n{"text":"b"}\n'


async def test_a_stream_that_fails_says_so_in_its_place(it: Gateway) -> None:
    """Before the first message as any other refusal; behind it as an event."""
    path = f"{it.url}/api/probe-probe/Tail"
    async with it.client.post(path, json={"text": "odd"}) as told:
        assert told.status == 400
        assert (await told.json(content_type=None))["reason"] == "TOO_ODD"
    async with it.client.post(path, json={"text": "a odd"}) as told:
        assert told.status == 200
        first, last = await _events(told)
    assert first == 'data: {"text":"a"}'
    kind, _, problem = last.partition("\n")
    assert kind == "event: error"
    assert json.loads(problem.removeprefix("data: "))["reason"] == "TOO_ODD"


async def test_a_stream_of_requests_is_lines_of_a_body(it: Gateway) -> None:
    """They may come in any parts; one that is wrong is said."""

    async def parts() -> AsyncIterator[bytes]:
        for part in (b'{"text": "a"}\n{"te', b'xt": "b"}\n', b'\n{"text": "c"}'):
            yield part

    path = f"{it.url}/api/probe-probe/Collect"
    async with it.client.post(path, data=parts(), headers=LINES) as told:
        assert await told.json() == {"text": "a b c"}
    wrong = b'{"text": "a"}\n{"txt": "b"}\n'
    async with it.client.post(path, data=wrong, headers=LINES) as told:
        problem = await told.json(content_type=None)
    assert (told.status, problem["reason"]) == (400, "MESSAGE_INVALID")


async def test_both_ways_at_once(it: Gateway) -> None:
    """An answer comes before the next line is sent."""
    heard = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b'{"text": "a"}\n'
        await heard.wait()
        yield b'{"text": "b"}\n'

    path = f"{it.url}/api/probe-probe/Chat"
    async with it.client.post(path, data=parts(), headers=LINES) as told:
        assert await told.content.readline() == b'data: {"text":"A"}\n'
        heard.set()
        assert (await _events(told))[-2:] == ['data: {"text":"B"}', "event: end\ndata: {}"]


async def test_who_cannot_go_on_says_so(it: Gateway) -> None:
    """A stream without tokens is not begun again as if it went on."""
    headers = {"last-event-id": "7"}
    status, problem = await it.post("/api/probe-probe/Tail", {"text": "a"}, headers=headers)
    assert (status, problem["reason"]) == (400, "STREAM_NOT_RESUMABLE")


async def test_who_hangs_up_before_the_answer_cancels_the_call(
    it: Gateway, probing: Probing
) -> None:
    """Of a method without streams too."""
    asking = it.client.post(f"{it.url}/api/probe-probe/Tail", json={"text": "forever"})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asking, 0.1)
    await asyncio.wait_for(probing.hung_up.wait(), 5)


async def test_the_end_of_the_gateway_ends_streams_that_have_none(
    tmp_path: Path, probing: Probing
) -> None:
    """With a word, and without a wait for who reads them."""
    async with aiohttp.ClientSession() as client:
        async with gateway(tmp_path, probing.agent) as it:
            told = await client.post(
                f"{it.url}/api/probe-probe/Tail",
                json={"text": "a forever"},
                headers={"authorization": it.token.bearer},
            )
            assert await told.content.readline() == b'data: {"text":"a"}\n'
        assert "DRAINING" in await told.text()
