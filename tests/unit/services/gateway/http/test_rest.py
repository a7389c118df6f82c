"""Methods of agents as HTTP and JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tandem.gateway.v1 import http_service_pb2 as pb
from tandem.gateway.v1 import http_service_pb2_grpc as rpc
from tests.unit.services.gateway.http.gateways import Gateway, Probing, gateway

ECHO = "/api/probe-probe/Echo"
LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture
def probing() -> Probing:
    return Probing()


@pytest_asyncio.fixture
async def it(tmp_path: Path, probing: Probing) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path, probing.agent) as running:
        yield running


@pytest.mark.parametrize("name", ["tandem.probe.v1.ProbeService", "probe-probe", "ProbeAgent"])
async def test_an_agent_is_asked_by_any_of_its_names(it: Gateway, name: str) -> None:
    """Its full name, its short one and other spellings mean the same agent."""
    answer = await it.post(f"/api/{name}/Echo", {"text": "Grüße 🌍"})
    assert answer == (200, {"text": "Grüße 🌍"})


async def test_a_method_that_changes_nothing_is_asked_by_get(it: Gateway) -> None:
    """Its fields stand in the query; any other method is not asked so, and says how it is."""
    async with it.client.get(f"{it.url}{ECHO}", params={"text": "a b&c=ü"}) as told:
        assert await told.json() == {"text": "a b&c=ü"}
    async with it.client.get(f"{it.url}/api/probe-probe/Narrow") as told:
        assert (told.status, told.headers["allow"]) == (405, "POST")


async def test_a_refusal_of_the_agent_is_a_problem_with_its_reason(it: Gateway) -> None:
    """What a gRPC caller is told in details stands in the problem."""
    status, problem = await it.post(ECHO, {"text": "odd"})
    assert status == 400
    assert problem == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "the text is odd",
        "code": "FAILED_PRECONDITION",
        "reason": "TOO_ODD",
        "domain": "tandem.probe.v1",
        "metadata": {"text": "odd"},
        "violations": [{"field": "text", "description": "the text is odd"}],
    }


async def test_who_is_to_come_again_is_told_when(it: Gateway) -> None:
    """RetryInfo is a header too, in whole seconds and never too soon."""
    async with it.client.post(f"{it.url}{ECHO}", json={"text": "busy"}) as told:
        assert (told.status, told.headers["retry-after"]) == (503, "1")
        problem = await told.json(content_type="application/problem+json")
    assert (problem["reason"], problem["retryAfter"]) == ("BUSY", "0.1s")


async def test_the_rules_of_the_contract_hold(it: Gateway) -> None:
    """A request that breaks them is refused as over gRPC, with the field."""
    status, problem = await it.post(ECHO, {"text": "x" * 1001})
    assert (status, problem["reason"]) == (400, "INVALID_REQUEST")
    assert [one["field"] for one in problem["violations"]] == ["text"]


async def test_a_defect_of_an_agent_tells_an_incident_alone(it: Gateway) -> None:
    """Its cause is in the log."""
    status, problem = await it.post(ECHO, {"text": "broken"})
    assert (status, problem["reason"]) == (500, "INTERNAL")
    assert "a defect" not in json.dumps(problem)
    assert problem["metadata"]["incident"]


@pytest.mark.parametrize(
    ("body", "reason", "where"),
    [
        (b'{"txt": 1}', "MESSAGE_INVALID", "txt"),
        (b'{"text": 1}', "MESSAGE_INVALID", "text"),
        (b"[1]", "MESSAGE_INVALID", ""),
        (b'"text"', "MESSAGE_INVALID", ""),
        (b'{"text": "\\ud800"}', "MESSAGE_INVALID", "text"),
        (b'{"text": ', "JSON_INVALID", None),
        (b'{"text": "a", "text": "b"}', "JSON_INVALID", None),
        (b'{"text": NaN}', "JSON_INVALID", None),
        (b'{"text": "\xff"}', "JSON_INVALID", None),
        (b"[" * 100_000, "JSON_INVALID", None),
        (b'{"text":' * 5_000, "JSON_INVALID", None),
    ],
)
async def test_what_is_no_json_of_the_message_is_said(
    it: Gateway, body: bytes, reason: str, where: str | None
) -> None:
    """The agent is not asked, and the caller hears what is wrong and where."""
    headers = {"content-type": "application/json"}
    async with it.client.post(f"{it.url}{ECHO}", data=body, headers=headers) as told:
        problem = await told.json(content_type=None)
    assert (told.status, problem["reason"]) == (400, reason)
    assert (problem["violations"][0]["field"] if where is not None else None) == where


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=x"]
)
async def test_a_body_of_another_media_type_is_refused(it: Gateway, media_type: str) -> None:
    """It is not guessed at."""
    headers = {"content-type": media_type}
    async with it.client.post(f"{it.url}{ECHO}", data=b"{}", headers=headers) as told:
        problem = await told.json(content_type=None)
    assert (told.status, problem["reason"]) == (415, "MEDIA_TYPE_REFUSED")


@pytest.mark.parametrize(
    ("path", "reason", "near"),
    [
        ("/api/probe-prob/Echo", "AGENT_UNKNOWN", "probe-probe"),
        ("/api/probe-probe/Eco", "METHOD_UNKNOWN", "Echo"),
        ("/api/probe-probe", "PATH_UNKNOWN", "/api/AGENT/METHOD"),
        ("/", "PATH_UNKNOWN", "/docs"),
    ],
)
async def test_what_is_not_there_is_404_with_what_is_near(
    it: Gateway, path: str, reason: str, near: str
) -> None:
    """A name that nobody has ends before any agent is asked."""
    status, problem = await it.post(path, {})
    assert (status, problem["reason"]) == (404, reason)
    assert near in problem["detail"]


@pytest.mark.parametrize("header", ["x-tandem-timeout", "request-timeout"])
async def test_a_deadline_of_the_caller_reaches_the_agent(
    it: Gateway, probing: Probing, header: str
) -> None:
    """The agent has what is left of it; without one, what its contract allows."""
    assert (await it.post(ECHO, {}, headers={header: "2.5s"}))[0] == 200
    assert (await it.post(ECHO, {}))[0] == 200
    short_s, usual_s = probing.left_s
    assert short_s is not None
    assert 1.5 < short_s <= 2.5
    assert usual_s is not None
    assert 25 < usual_s <= 30


async def test_a_deadline_that_passes_ends_the_call_at_the_agent(
    it: Gateway, probing: Probing
) -> None:
    """The caller is told DEADLINE_EXCEEDED, and the agent does not work on."""
    headers = {"x-tandem-timeout": "50ms"}
    status, problem = await it.post("/api/probe-probe/Narrow", {}, headers=headers)
    assert (status, problem["code"]) == (504, "DEADLINE_EXCEEDED")
    await asyncio.wait_for(probing.hung_up.wait(), 5)


async def test_a_timeout_that_is_none_is_refused(it: Gateway) -> None:
    """A caller that means one must not wait without."""
    status, problem = await it.post(ECHO, {}, headers={"x-tandem-timeout": "soon"})
    assert (status, problem["reason"]) == (400, "HEADER_INVALID")
    assert problem["metadata"] == {"header": "x-tandem-timeout"}


async def test_what_goes_with_a_call_reaches_the_agent(it: Gateway, probing: Probing) -> None:
    """Priority, trace, instance and idempotency key, as over gRPC; other headers do not."""
    sent = {
        "x-tandem-priority": "batch",
        "traceparent": f"00-{'1' * 32}-{'2' * 16}-01",
        "x-tandem-idempotency-key": "job-1",
    }
    assert (await it.post(ECHO, {}, headers={**sent, "x-other": "1"}))[0] == 200
    (metadata,) = probing.metadata
    assert metadata["x-tandem-priority"] == "batch"
    assert metadata["traceparent"] == sent["traceparent"]
    assert metadata["x-tandem-idempotency-key"] == "job-1"
    assert "x-other" not in metadata


async def test_the_gateway_says_where_it_is_and_what_can_be_asked(it: Gateway) -> None:
    """Routes come page by page, in the order of the methods."""
    stub = rpc.HttpServiceStub(it.channel)
    headers = (("authorization", it.token.bearer),)
    told = await stub.DescribeGateway(pb.DescribeGatewayRequest(), metadata=headers)
    assert told.url == it.url
    assert "/api/" in [face.path for face in told.faces]
    request = pb.ListRoutesRequest(page_size=3)
    routes: list[pb.HttpRoute] = []
    while True:
        page = await stub.ListRoutes(request, metadata=headers)
        routes += page.routes
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    methods = [one.method for one in routes]
    assert methods == sorted(methods)
    assert "/tandem.gateway.v1.HttpService/ListRoutes" in methods
    (echo,) = [one for one in routes if one.method == "/tandem.probe.v1.ProbeService/Echo"]
    assert list(echo.asked) == ["POST /api/probe-probe/Echo", "GET /api/probe-probe/Echo"]
    assert echo.is_read


async def test_the_gateway_itself_is_an_agent_that_has_another_name(it: Gateway) -> None:
    """M179: `backend`."""
    status, told = await it.post("/api/backend/DescribeGateway", {})
    assert (status, told["url"]) == (200, it.url)


async def test_a_key_that_stands_twice_is_found_among_many(it: Gateway) -> None:
    """As fast as the body is read: a caller cannot keep the gateway busy with it."""
    keys = ",".join(f'"{number}":0' for number in range(200_000))
    content = f'{{{keys},"text":"a","text":"b"}}'.encode()
    headers = {"content-type": "application/json"}
    async with (
        asyncio.timeout(10),
        it.client.post(f"{it.url}{ECHO}", data=content, headers=headers) as told,
    ):
        assert told.status == 400
        assert "'text' stands twice" in (await told.json(content_type=None))["metadata"]["why"]
