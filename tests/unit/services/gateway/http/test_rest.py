"""Methods of agents as HTTP and JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.gateway.v1 import http_service_pb2 as pb
from tandem.gateway.v1 import http_service_pb2_grpc as rpc
from tests.unit.services.gateway.http.gateways import Probing, gateway


@pytest.mark.parametrize("name", ["tandem.probe.v1.ProbeService", "probe-probe", "ProbeAgent"])
async def test_an_agent_is_asked_by_any_of_its_names(tmp_path: Path, name: str) -> None:
    """Its full name, its short one and other spellings mean the same agent."""
    async with gateway(tmp_path, Probing().agent) as it:
        answer = await it.post(f"/api/{name}/Echo", {"text": "Grüße 🌍"})
    assert answer == (200, {"text": "Grüße 🌍"})


async def test_a_refusal_of_the_agent_is_a_problem_with_its_reason(tmp_path: Path) -> None:
    """What a gRPC caller is told in details stands in the problem."""
    async with gateway(tmp_path, Probing().agent) as it:
        status, problem = await it.post("/api/probe-probe/Echo", {"text": "odd"})
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


async def test_the_gateway_says_where_it_is_and_what_can_be_asked(tmp_path: Path) -> None:
    """Routes come page by page, in the order of the methods."""
    async with gateway(tmp_path, Probing().agent) as it:
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
    assert echo.asked[0] == "POST /api/probe-probe/Echo"
    assert echo.is_read
