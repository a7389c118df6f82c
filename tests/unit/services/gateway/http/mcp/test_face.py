"""The MCP face over HTTP, message by message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.unit.services.gateway.http.gateways import Gateway, Probing, gateway
from tests.unit.services.gateway.http.mcp.asking import (
    BOTH,
    MODERN,
    answered,
    events,
    modern,
    modern_headers,
    request,
    told,
    tool,
)

ECHO, TAIL, NARROW = "probe-probe_Echo", "probe-probe_Tail", "probe-probe_Narrow"
SESSION = "a-session-of-the-test"


@pytest.fixture
def probing() -> Probing:
    return Probing()


@pytest.fixture
async def it(tmp_path: Path, probing: Probing) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path, probing.agent) as found:
        yield found


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        ("2025-11-25", "2025-11-25"),
        ("2025-03-26", "2025-03-26"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ],
)
async def test_a_handshake_ends_with_a_revision_that_we_speak(
    it: Gateway, asked: str, agreed: str
) -> None:
    """The client's own where it is one of ours with handshakes, else the latest of those."""
    answer = await told(it, request("initialize", {"protocolVersion": asked}))
    assert answer["result"]["protocolVersion"] == agreed


async def test_a_tool_answers_with_a_value_and_the_same_as_text(it: Gateway) -> None:
    """Also to a client without a session: nothing needs to be known of it."""
    answer = await told(it, tool(ECHO, {"text": "Grüße\u2028🌍"}))
    assert answer["result"]["structuredContent"] == {"text": "Grüße\u2028🌍"}
    assert answer["result"]["content"] == [{"type": "text", "text": '{"text": "Grüße\u2028🌍"}'}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"text": "odd"}, "FAILED_PRECONDITION/TOO_ODD: the text is odd"),
        ({"text": "busy"}, "Call again in 0.1 s, not before."),
        ({"text": "x" * 1001}, "- text: "),
        ({"txt": ""}, "- txt: there is no such field; there is text"),
        ({"text": 7}, "INVALID_ARGUMENT/MESSAGE_INVALID"),
        ({"text": "\ud800"}, "INVALID_ARGUMENT/MESSAGE_INVALID"),
        ({"text": "broken"}, "incident"),
    ],
)
async def test_a_call_that_fails_says_why_and_what_to_do(
    it: Gateway, arguments: dict[str, object], said: str
) -> None:
    """It is the result of a tool, for a model to read, and no error of the protocol."""
    result = (await told(it, tool(ECHO, arguments)))["result"]
    assert result["isError"]
    assert said in result["content"][0]["text"]
    assert "structuredContent" not in result


async def test_a_method_that_no_contract_marks_is_no_tool(it: Gateway) -> None:
    """It is neither listed nor called, whatever its name is."""
    listed = (await told(it, request("tools/list")))["result"]["tools"]
    assert [one["name"] for one in listed] == [
        "probe-probe_Burst",
        ECHO,
        NARROW,
        TAIL,
    ]
    for name in ("probe-probe_Collect", "gateway-http_DescribeGateway", "", "x" * 1000):
        assert (await told(it, tool(name)))["error"]["code"] == -32602


async def test_a_client_may_ask_for_the_tools_of_some_agents(it: Gateway) -> None:
    """Models choose worse among many: `agents` of the URL names those that are wanted."""
    for agents, count in (("probe-probe", 4), ("tandem.probe.v1.ProbeService", 4), ("other", 0)):
        _, answer = await it.post(f"/mcp?agents={agents}", request("tools/list"))
        assert len(answer["result"]["tools"]) == count


async def test_a_stream_tells_its_progress_and_answers_with_all_of_it(it: Gateway) -> None:
    """What an agent streams is one result; who asked is told how far it is."""
    message = tool(TAIL, {"text": "one two"}, progressToken="p")
    async with events(it, message) as (_, stream):
        found = [event async for _, event in stream]
    assert found[0]["method"] == "notifications/progress"
    assert found[0]["params"] == {"progressToken": "p", "progress": 1, "message": '{"text":"one"}'}
    assert found[-1]["id"] == message["id"]
    texts = [one["text"] for one in found[-1]["result"]["structuredContent"]["messages"]]
    assert texts == ["one", "two"]


async def test_a_cancelled_request_is_cancelled_at_the_agent(it: Gateway, probing: Probing) -> None:
    """By a notification in the same session; one of another session cancels nothing."""
    message = tool(TAIL, {"text": "one forever"}, progressToken=1)
    cancelled = {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": message["id"]},
    }
    async with events(it, message, mcp_session_id=SESSION) as (_, stream):
        assert (await anext(stream))[1] is None
        assert (await anext(stream))[1]["method"] == "notifications/progress"
        assert await answered(it, cancelled, mcp_session_id="other") == (202, None)
        assert not probing.hung_up.is_set()
        assert await answered(it, cancelled, mcp_session_id=SESSION) == (202, None)
        assert [event async for event in stream] == []
    async with asyncio.timeout(5):
        await probing.hung_up.wait()


@pytest.mark.parametrize("is_modern", [True, False])
async def test_who_hangs_up_without_a_session_cancels(
    it: Gateway, probing: Probing, *, is_modern: bool
) -> None:
    """It could not come back for the answer."""
    message = tool(TAIL, {"text": "one forever"}, progressToken=1)
    headers = {}
    if is_modern:
        message = modern("tools/call", message["params"], progressToken=1)
        headers = modern_headers(message)
    async with events(it, message, **headers) as (_, stream):
        await anext(stream)
    async with asyncio.timeout(5):
        await probing.hung_up.wait()


async def test_a_client_goes_on_behind_the_last_event_that_it_got(it: Gateway) -> None:
    """The connection breaks, the call goes on: by `Last-Event-ID` nothing lacks, nothing doubles,
    and nobody else gets it.
    """
    message = tool(TAIL, {"text": "one two three"}, progressToken=1)
    async with events(it, message, mcp_session_id=SESSION) as (_, stream):
        await anext(stream)
        identity, first = await anext(stream)
    assert first["params"]["progress"] == 1
    async with events(it, mcp_session_id="other", last_event_id=identity) as (response, _):
        assert response.status == 400
    for _ in range(2):
        async with events(it, mcp_session_id=SESSION, last_event_id=identity) as (_, stream):
            found = [event async for _, event in stream if event is not None]
        assert [one for one in found if one.get("id") == message["id"]] == found[-1:]
        assert len(found[-1]["result"]["structuredContent"]["messages"]) == 3


async def test_an_ended_session_is_gone(it: Gateway) -> None:
    """It is 404 from then on, so that its client begins anew, and others go on."""
    asked = it.client.delete(f"{it.url}/mcp", headers={"mcp-session-id": SESSION})
    async with asked as response:
        assert response.status == 204
    assert (await answered(it, request("ping"), mcp_session_id=SESSION))[0] == 404
    assert (await answered(it, request("ping"), mcp_session_id="other"))[0] == 200


async def test_a_modern_request_says_itself_what_it_is(it: Gateway) -> None:
    """No handshake, no session: each result says whose it is, and lists how long they keep."""
    found = modern("server/discover")
    result = (await told(it, found, **modern_headers(found)))["result"]
    assert result["supportedVersions"][0] == MODERN
    listing = modern("tools/list")
    result = (await told(it, listing, **modern_headers(listing)))["result"]
    assert result["resultType"] == "complete"
    assert result["cacheScope"] == "private"
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "tandem"


@pytest.mark.parametrize(
    ("changed", "code", "status"),
    [
        ({"mcp-method": "tools/list"}, -32020, 400),
        ({"mcp-name": "other"}, -32020, 400),
        ({"mcp-protocol-version": "2025-11-25"}, -32020, 400),
    ],
)
async def test_headers_and_message_have_to_say_the_same(
    it: Gateway, changed: dict[str, str], code: int, status: int
) -> None:
    """Else what stands between reads another request than we do."""
    message = modern("tools/call", {"name": ECHO, "arguments": {}})
    found = await answered(it, message, **(modern_headers(message) | changed))
    assert (found[0], found[1]["error"]["code"]) == (status, code)


async def test_a_name_that_is_no_ascii_comes_encoded(it: Gateway) -> None:
    """As the protocol writes it in a header."""
    message = modern("resources/read", {"uri": "tandem://memory/ü"})
    headers = modern_headers(message) | {"mcp-name": "=?base64?dGFuZGVtOi8vbWVtb3J5L8O8?="}
    assert (await answered(it, message, **headers))[1]["error"]["code"] == -32602


async def test_a_revision_of_the_future_is_told_which_there_are(it: Gateway) -> None:
    """In the words by which a client chooses another one."""
    message = modern("tools/list")
    message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2027-01-01"
    headers = modern_headers(message) | {"mcp-protocol-version": "2027-01-01"}
    status, answer = await answered(it, message, **headers)
    assert (status, answer["error"]["code"]) == (400, -32022)
    assert answer["error"]["data"]["supported"][0] == MODERN


async def test_an_unknown_method_is_404_only_where_the_protocol_says_so(it: Gateway) -> None:
    """Older clients would take that for the end of their session."""
    message = modern("tools/paint")
    status, answer = await answered(it, message, **modern_headers(message))
    assert (status, answer["error"]["code"]) == (404, -32601)
    status, answer = await answered(it, request("tools/paint"))
    assert (status, answer["error"]["code"]) == (200, -32601)


@pytest.mark.parametrize(
    "body", ["{", "[]", "7", '"x"', "{}", '{"jsonrpc":"2.0","id":null,"method":"ping"}', "NaN"]
)
async def test_what_is_no_message_is_refused(it: Gateway, body: str) -> None:
    """With an error of the protocol, whatever it is."""
    async with it.client.post(f"{it.url}/mcp", data=body) as response:
        assert response.status == 400
        assert (await response.json())["error"]["code"] in {-32700, -32600}


async def test_depth_without_end_is_refused(it: Gateway) -> None:
    """Before anybody goes into it."""
    body = '{"jsonrpc":"2.0","id":1,"method":"ping","params":' + '{"a":' * 5000 + "1" + "}" * 5001
    async with it.client.post(f"{it.url}/mcp", data=body) as response:
        assert response.status == 400


async def test_who_shows_no_token_is_not_answered(it: Gateway) -> None:
    """In the protocol's own form, so that clients show what it says."""
    status, answer = await answered(it, request("tools/list"), authorization="Bearer no")
    assert status == 401
    assert answer["error"]["data"]["code"] == "UNAUTHENTICATED"


async def test_a_listener_is_told_of_a_failure_where_it_wants_to_be(it: Gateway) -> None:
    """`logging/setLevel` holds for its session; what is told is structured, and none of our words
    have others' text in them.
    """
    message = tool(TAIL, {"text": "odd"}, progressToken=1)
    level = request("logging/setLevel", {"level": "error"})
    assert (await told(it, level, mcp_session_id=SESSION))["result"] == {}
    async with events(it, message, mcp_session_id=SESSION) as (_, stream):
        found = [event async for _, event in stream if event is not None]
    assert found[0]["params"] == {
        "level": "error",
        "logger": "tandem",
        "data": {"tool": TAIL, "code": "FAILED_PRECONDITION", "reason": "TOO_ODD"},
    }
    bad = request("logging/setLevel", {"level": "loud"})
    assert (await told(it, bad))["error"]["code"] == -32602


async def test_the_end_of_the_gateway_ends_what_listens(tmp_path: Path) -> None:
    """Before its grace is over, and with a result where the revision has one."""
    message = modern("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    async with aiohttp.ClientSession() as client:
        async with asyncio.timeout(4), gateway(tmp_path) as it:
            url, shown = f"{it.url}/mcp", {"authorization": it.token.bearer, "accept": BOTH}
            unasked = await client.get(url, headers=shown)
            asked = await client.post(url, json=message, headers=shown | modern_headers(message))
            assert b"acknowledged" in await asked.content.readuntil(b"\n\n")
        assert await unasked.text() == ""
        ended = json.loads((await asked.text()).partition("data: ")[2])
    assert ended["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == message["id"]
