"""The gateway of a fleet that `./tandem up` started: found, asked, killed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import pytest_asyncio

from inference import grpc_inference_service_pb2 as inference
from inference import grpc_inference_service_pb2_grpc as inference_rpc
from services.gateway.http.agent import AGENT as GATEWAY
from services.gateway.kserve.agent import AGENT as KSERVE
from services.memory.embedding.agent import AGENT as EMBEDDING
from services.memory.namespace.agent import AGENT as NAMESPACE
from services.models.model.agent import AGENT as MODELS
from tandemkit.core.token import Token
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.testing.checkouts import write_checkout
from tandemkit.testing.model_servers import MODEL, model_server
from tandemkit.testing.parts import short_folder
from tests.cluster.eventually import eventually
from tests.cluster.fleets import SERVED, Checkout

pytestmark = pytest.mark.cluster
MEASURE = "/api/utility-toolbox/MeasureText"
TEXTS, TALKER = "hashes", f"here/{MODEL}"
_SAID = {"datatype": "BYTES", "shape": [1], "data": ["a pump"]}
_TALKS: dict[str, object] = {
    "/v1/chat/completions": {"model": TALKER, "messages": [{"role": "user", "content": "a"}]},
    "/v1/completions": {"model": TALKER, "prompt": "a"},
    f"/v2/models/{TALKER}/infer": {"inputs": [{"name": "text_input", **_SAID}]},
    "/api/models-model/Chat": {
        "model": TALKER,
        "messages": [{"role": "CHAT_ROLE_USER", "content": "a"}],
    },
}
_EMBEDS: dict[str, object] = {
    "/v1/embeddings": {"model": TEXTS, "input": "a pump"},
    f"/v2/models/{TEXTS}/infer": {"inputs": [{"name": "text", **_SAID}]},
    "/api/memory-embedding/EmbedTexts": {"texts": ["a pump"]},
}


@dataclass(frozen=True)
class Asking:
    """A client of the gateway that shows `bearer`."""

    url: str
    bearer: str

    async def post(self, path: str, value: object, **headers: str) -> tuple[int, Any]:
        shown = {"authorization": self.bearer, **headers}
        async with (
            aiohttp.ClientSession(headers=shown) as client,
            client.post(f"{self.url}{path}", json=value) as told,
        ):
            return told.status, await told.json(content_type=None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[Checkout]:
    """Its gateway has a host of its own, as on a laptop, and a model whose server is here."""
    with short_folder() as folder:
        async with model_server() as server, _running(folder, f"{server.address}/v1") as checkout:
            yield checkout


@asynccontextmanager
async def _running(folder: Path, base_url: str) -> AsyncIterator[Checkout]:
    settings = {
        GATEWAY.name: {"address": "127.0.0.1:0"},
        EMBEDDING.name: {"models": [{"name": TEXTS, "hashing": {}}]},
        MODELS.name: {"backends": [{"name": "here", "openai": {"base_url": base_url}}]},
    }
    agents = (*SERVED, NAMESPACE, EMBEDDING, MODELS, GATEWAY, KSERVE)
    write_checkout(folder, agents, settings)
    checkout = Checkout(folder)
    checkout.give_hosts({"gateway": ["gateway-*"]})
    async with checkout.serving():
        yield checkout


@pytest.mark.asyncio(loop_scope="module")
async def test_up_and_env_say_where_it_is(fleet: Checkout) -> None:
    """As a value, and as a variable of who evaluates `env`."""
    up, env = await fleet.told("up", "-d"), await fleet.told("env")
    assert up["gateway"] == env["gateway"]
    assert f"TANDEM_GATEWAY={up['gateway']}" in (await fleet.tandem("env")).stdout.replace("'", "")


async def _asking(fleet: Checkout) -> Asking:
    url = (await fleet.told("env"))["gateway"]
    return Asking(url, Token(fleet.home.token).bearer)


@pytest.mark.asyncio(loop_scope="module")
async def test_an_agent_of_another_host_answers(fleet: Checkout) -> None:
    """By the contract that control tells: the gateway has no stubs of it."""
    it = await _asking(fleet)
    status, told = await it.post(MEASURE, {"text": "naïve 👩‍👩‍👧"})
    assert (status, told["graphemes"]) == (200, "7")
    status, told = await it.post(MEASURE, {"txt": 1})
    assert (status, told["reason"]) == (400, "MESSAGE_INVALID")


@pytest.mark.asyncio(loop_scope="module")
async def test_methods_of_the_fleet_are_tools(fleet: Checkout) -> None:
    """By the contracts that control tells; a caller's key is shown those that it opens."""
    operator = await _asking(fleet)
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    _, told = await operator.post("/mcp", listing)
    tools = {one["name"]: one for one in told["result"]["tools"]}
    assert "text" in tools["utility-toolbox_MeasureText"]["inputSchema"]["properties"]
    key = (await fleet.told("token", "for", "bob"))["key"]
    _, told = await Asking(operator.url, f"Bearer {key}").post("/mcp", listing)
    shown = {one["name"] for one in told["result"]["tools"]}
    opened = "memory-namespace_", "models-model_"
    assert shown == {one for one in tools if one.startswith(opened)}


@pytest.mark.asyncio(loop_scope="module")
async def test_its_host_tells_prometheus_what_was_answered(fleet: Checkout) -> None:
    """By face and status."""
    assert (await (await _asking(fleet)).post(MEASURE, {"text": "a"}))[0] == 200
    hosts = (await fleet.told("up", "-d"))["hosts"]
    (address,) = [one["http_address"] for one in hosts if one["host"] == "gateway"]
    async with aiohttp.ClientSession() as client, client.get(f"http://{address}/metrics") as told:
        lines = (await told.text()).splitlines()
    assert any(
        line.startswith("tandem_gateway_answers_total{")
        and 'face="/api/"' in line
        and 'status="200"' in line
        for line in lines
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_a_key_of_a_caller_has_the_rights_that_rules_give_it(fleet: Checkout) -> None:
    """The agent sees the caller and not the gateway; what asks nobody, no key opens."""
    operator = await _asking(fleet)
    key = (await fleet.told("token", "for", "ada"))["key"]
    ada = Asking(operator.url, f"Bearer {key}")
    status, told = await ada.post(MEASURE, {"text": "a"})
    assert (status, told["reason"]) == (403, "KEY_NOT_ENOUGH")
    path = "/api/memory-namespace/ListNamespaces"
    assert (await operator.post(path, {}))[0] == 200
    status, told = await ada.post(path, {})
    assert (status, told.get("reason", "")) in {(200, ""), (403, "NAMESPACE_FORBIDDEN")}


@pytest.mark.asyncio(loop_scope="module")
async def test_callers_with_keys_ask_models_on_every_face(fleet: Checkout) -> None:
    """Language models by the right to read the namespace, what embeds without any; a key that is
    none is refused in the words of each protocol.
    """
    operator = await _asking(fleet)
    rules = [{"callers": ["callers/ada"], "right": "RIGHT_READ"}]
    put = {"namespace": {"name": "namespaces/default", "rules": rules}}
    assert (await operator.post("/api/memory-namespace/PutNamespace", put))[0] == 200
    keys = {one: (await fleet.told("token", "for", one))["key"] for one in ("ada", "bob")}
    ada, bob, wrong = (
        Asking(operator.url, f"Bearer {one}") for one in (*keys.values(), keys["ada"][:-4])
    )

    async def statuses(it: Asking, paths: Mapping[str, object]) -> dict[str, int]:
        return {path: (await it.post(path, value))[0] for path, value in paths.items()}

    async def of_ada() -> dict[str, int]:
        return await statuses(ada, _TALKS)

    await eventually(of_ada, lambda found: found == dict.fromkeys(_TALKS, 200))
    assert await statuses(ada, _EMBEDS) == dict.fromkeys(_EMBEDS, 200)
    assert await statuses(bob, _TALKS) == dict.fromkeys(_TALKS, 403)
    assert await statuses(bob, _EMBEDS) == dict.fromkeys(_EMBEDS, 200)
    assert await statuses(wrong, _TALKS | _EMBEDS) == dict.fromkeys(_TALKS | _EMBEDS, 401)
    _, refused = await bob.post("/v1/chat/completions", _TALKS["/v1/chat/completions"])
    assert refused["error"]["reason"] == "NAMESPACE_FORBIDDEN"
    _, refused = await wrong.post("/v1/embeddings", _EMBEDS["/v1/embeddings"])
    assert refused["error"]["reason"] == "KEY_REFUSED"


@pytest.mark.asyncio(loop_scope="module")
async def test_callers_with_keys_infer_over_grpc(fleet: Checkout) -> None:
    """Without the gateway between, by the host's own gate."""
    address = (await fleet.tandem("env", "kserve")).stdout.strip()
    key = (await fleet.told("token", "for", "bob"))["key"]
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = inference_rpc.GRPCInferenceServiceStub(channel)

        async def outcome(request: inference.ModelInferRequest, shown: str) -> str:
            try:
                await stub.ModelInfer(request, metadata=(("authorization", f"Bearer {shown}"),))
            except grpc.aio.AioRpcError as error:
                return RemoteFailure.of(error).reason
            return "OK"

        embed, talk = _tensor(TEXTS, "text"), _tensor(TALKER, "text_input")
        assert await outcome(embed, key) == "OK"
        assert await outcome(talk, key) == "NAMESPACE_FORBIDDEN"
        assert await outcome(embed, key[:-4]) == "KEY_REFUSED"


def _tensor(model: str, name: str) -> inference.ModelInferRequest:
    made = inference.ModelInferRequest(model_name=model)
    given = made.inputs.add(name=name, datatype="BYTES", shape=[1])
    given.contents.bytes_contents.append(b"a pump")
    return made


@pytest.mark.asyncio(loop_scope="module")
async def test_it_comes_back_at_its_address(fleet: Checkout) -> None:
    """Also killed: who knows where it is does not have to ask again."""
    it = await _asking(fleet)
    before = fleet.pids()["gateway"]
    fleet.kill("gateway")

    async def pids() -> dict[str, int]:
        return fleet.pids()

    async def status() -> int:
        return (await it.post(MEASURE, {"text": "a"}))[0]

    await eventually(pids, lambda found: found.get("gateway", before) != before)
    await eventually(status, lambda found: found == 200)
