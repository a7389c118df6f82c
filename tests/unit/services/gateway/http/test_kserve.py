"""The Open Inference Protocol over HTTP, as anybody's HTTP client asks it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from services.gateway.http.kserve.reading import LENGTH_HEADER
from services.gateway.kserve.agent import AGENT as KSERVE
from tandemkit.testing.parts import short_folder
from tests.unit.services.gateway.http.gateways import Gateway, gateway
from tests.unit.services.gateway.kserve.inferring import MODEL, Talker, Texts, fakes, packed

INFER = f"/v2/models/{MODEL}/infer"
TEXT = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["a pump", "wax"]}


@pytest.fixture
async def asked() -> AsyncIterator[Gateway]:
    with short_folder() as folder:
        async with gateway(folder, KSERVE, *fakes(Texts(), Talker())) as found:
            yield found


async def test_an_inference_is_json_for_json(asked: Gateway) -> None:
    """Also with data in rows, as the protocol lets a tensor of several dimensions be."""
    status, told = await asked.post(INFER, {"id": "x", "inputs": [TEXT]})
    assert (status, told["id"], told["model_name"]) == (200, "x", MODEL)
    (output,) = told["outputs"]
    assert (output["shape"], len(output["data"])) == ([2, 384], 2 * 384)
    _, nested = await asked.post(INFER, {"inputs": [{**TEXT, "data": [["a pump"], ["wax"]]}]})
    assert nested["outputs"][0]["data"] == output["data"]
    version = told["model_version"]
    status, _ = await asked.post(f"/v2/models/{MODEL}/versions/{version}/infer", {"inputs": [TEXT]})
    assert status == 200


async def test_probes_need_no_token_and_models_do(asked: Gateway) -> None:
    """A load balancer has no secret."""
    async with aiohttp.ClientSession() as nobody:

        async def get(path: str) -> tuple[int, Any]:
            async with nobody.get(f"{asked.url}{path}") as told:
                return told.status, await told.json(content_type=None)

        assert await get("/v2/health/live") == (200, {"live": True})
        assert await get("/v2/health/ready") == (200, {"ready": True})
        assert (await get("/v2"))[1]["version"] == "2"
        assert await get(f"/v2/models/{MODEL}/ready") == (200, {"ready": True})
        assert (await get("/v2/models/nobody/ready"))[0] == 503
        status, told = await get(f"/v2/models/{MODEL}")
    assert (status, told["reason"]) == (401, "TOKEN_MISSING")


def with_text(**fields: Any) -> dict[str, Any]:
    return {"inputs": [{**TEXT, **fields}]}


def deep(levels: int) -> Any:
    """An element in as many lists."""
    return [deep(levels - 1)] if levels else "a"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "the body is no JSON object"),
        ({"inputs": {}, "input": []}, "the request has a field `input`"),
        ({"inputs": [4]}, "`inputs` is a list of objects"),
        (with_text(data=[1]), "an element of input `text` is a text"),
        (with_text(data=["a"]), "has 1 elements, and its shape [2] asks for 2"),
        (with_text(shape=["2"]), "`shape` of input `text` is a list of whole numbers"),
        (with_text(shape=[2**70]), "`shape` of input `text` is a list of whole numbers"),
        (with_text(name=None), "the name of an input is a text"),
        (with_text(parameters={"binary_data_size": 1}), "has `data`, and bytes behind the JSON"),
        (with_text(parameters=[1]), "`parameters` is an object"),
        (with_text(data=deep(20)), "more than 16 dimensions"),
        (with_text(data=deep(400)), "nested deeper than 100 levels"),
        (with_text(data=["\ud800", "a"]), "half a character"),
        ({"\ud800": 1}, "half a character"),
        ({"id": "\ud800", "inputs": [TEXT]}, "half a character"),
        ({"inputs": [TEXT], "parameters": {"\ud800": "a"}}, "half a character"),
        ({"inputs": [TEXT], "parameters": {"depth": {}}}, "parameter `depth` is a text"),
        ({"inputs": [TEXT], "parameters": {"depth": 2**64}}, "parameter `depth` is a text"),
    ],
)
async def test_what_is_no_inference_is_refused_in_words(
    asked: Gateway, value: object, said: str
) -> None:
    """With a status, and the message where clients of the protocol look for it."""
    status, told = await asked.post(INFER, value)
    assert status == 400
    assert said in told["error"]


@pytest.mark.parametrize(
    ("size", "length", "rest", "said"),
    [
        (17, None, packed([b"a pump", b"wax"]), ""),
        (17, "x", packed([b"a pump", b"wax"]), "no number of bytes"),
        (17, "9" * 5000, packed([b"a pump", b"wax"]), "no number of bytes"),
        (17, "99999", packed([b"a pump", b"wax"]), "no number of bytes"),
        (18, None, packed([b"a pump", b"wax"]), "fewer bytes behind the JSON"),
        (10, None, packed([b"a pump", b"wax"]), "7 bytes behind the JSON are of no input"),
        (-1, None, b"", "is a whole number"),
    ],
)
async def test_bytes_behind_the_json_are_those_that_it_announces(
    asked: Gateway, size: int, length: str | None, rest: bytes, said: str
) -> None:
    """All of them, and no more."""
    given = {name: one for name, one in TEXT.items() if name != "data"}
    head = json.dumps({"inputs": [{**given, "parameters": {"binary_data_size": size}}]}).encode()
    headers = {LENGTH_HEADER: length or str(len(head))}
    async with asked.client.post(f"{asked.url}{INFER}", data=head + rest, headers=headers) as told:
        value = await told.json(content_type=None)
    assert said in value.get("error", "")
    assert told.status == (400 if said else 200)


async def test_other_paths_of_the_protocol_say_that_they_are_not_here(asked: Gateway) -> None:
    """Rather than that there is nothing of the kind."""
    status, told = await asked.post("/v2/trace/setting", {})
    assert (status, told["reason"]) == (501, "INFERENCE_FEATURE_UNSUPPORTED")
    status, told = await asked.post("/v2/repository/index", {"ready": True})
    assert [one["name"] for one in told] == [MODEL, "default", "talker/words"]


@pytest.mark.parametrize("shown", [{}, {"authorization": "Bearer wrong"}])
async def test_what_is_public_over_grpc_is_public_over_rest(
    asked: Gateway, shown: dict[str, str]
) -> None:
    """By every name of the agent and with both verbs; nothing else of the same agent is."""
    live = "ServerLive"
    async with aiohttp.ClientSession(headers=shown) as nobody:
        for agent in ("inference.GRPCInferenceService", "KServe"):
            async with nobody.post(f"{asked.url}/api/{agent}/{live}", json={}) as told:
                assert (told.status, await told.json()) == (200, {"live": True}), agent
        async with nobody.get(f"{asked.url}/api/KServe/{live}") as told:
            assert told.status == 200
        for path in ("KServe/RepositoryIndex", "KServe/Nothing", "nobody/ServerLive", "KServe"):
            async with nobody.post(f"{asked.url}/api/{path}", json={}) as told:
                assert told.status == 401, path
        origin = {"origin": "https://evil.example"}
        async with nobody.post(f"{asked.url}/api/KServe/{live}", json={}, headers=origin) as told:
            assert told.status == 403
