"""What docs/design/openai.md shows, as it stands there, and the way of a request to a server of
models and back: through a gateway and the agent of models.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.models.model.agent import AGENT as MODELS
from tandem.models.config.v1 import model_pb2 as cfg
from tandemkit.hosting.host import Placed
from tandemkit.testing.model_servers import MODEL, ModelServer, model_server
from tests.contract.openai_clients import programs
from tests.repo.checkout import root
from tests.unit.services.gateway.http.gateways import Gateway, gateway
from tests.unit.services.gateway.http.openai.scripted import Scripted

_PAGE = Path("docs/design/openai.md")
_ASKED = [{"role": "user", "content": "Use a tool: where is the mill?"}]
_FUNCTION = {"name": "find", "strict": True, "parameters": {"type": "object", "properties": {}}}
_TOOLS = [{"type": "function", "function": _FUNCTION}]


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with model_server() as server:
        yield server


@pytest.fixture
async def it(tmp_path: Path, server: ModelServer) -> AsyncIterator[Gateway]:
    """A gateway, the agent of models with that server, and the front that asks the right agent."""
    openai = cfg.OpenaiBackendSettings(base_url=f"{server.address}/v1")
    backend = cfg.ModelBackendSettings(name="mill", openai=openai)
    _, _, front = Scripted().agents
    models = Placed(MODELS, cfg.ModelSettings(backends=[backend]))
    async with gateway(tmp_path, models, front) as it:
        yield it


def _shown(language: str) -> str:
    """The program in the page, without what a shell is told first."""
    page = (root() / _PAGE).read_text("utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return str(found[-1])


async def test_the_five_lines_for_python_answer(it: Gateway, tmp_path: Path) -> None:
    """As they stand in the page."""
    (tmp_path / "five.py").write_text(_shown("python"), "utf-8")
    argv = (*await programs.python(), str(tmp_path / "five.py"))
    assert await programs.run(argv, tmp_path, programs.shown(it)) == "Five facts [1]."


async def test_the_five_lines_for_node_answer(it: Gateway) -> None:
    """As they stand in the page."""
    folder, argv = await programs.node()
    (folder / "five.mjs").write_text(_shown("js"), "utf-8")
    said = await programs.run((*argv, "five.mjs"), folder, programs.shown(it))
    assert said == "Five facts [1]."


async def test_the_line_for_curl_answers(it: Gateway, tmp_path: Path) -> None:
    """As it stands in the page."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is absent: apt-get install curl")
    argv = ("/bin/sh", "-c", _shown("sh"))
    said = json.loads(await programs.run(argv, tmp_path, programs.shown(it)))
    assert said["model"] == f"mill/{MODEL}"


async def test_what_is_said_of_tools_reaches_the_server(it: Gateway, server: ModelServer) -> None:
    """Also that one is called at a time, and that arguments keep to their schema."""
    body = {
        "model": f"mill/{MODEL}",
        "messages": _ASKED,
        "tools": _TOOLS,
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "seed": 3,
    }
    status, said = await it.post("/v1/chat/completions", body)
    assert status == 200
    assert said["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "find"
    (asked,) = server.asked
    wanted = {name: asked.get(name) for name in body if name not in {"model", "messages"}}
    assert wanted == {name: body[name] for name in wanted}


async def test_whoever_leaves_a_stream_ends_it_at_the_server(
    it: Gateway, server: ModelServer
) -> None:
    """The server sees that nobody reads any more."""
    server.gate = asyncio.Event()
    body: dict[str, Any] = {"model": "default", "messages": _ASKED, "stream": True}
    async with it.client.post(f"{it.url}/v1/chat/completions", json=body) as told:
        await told.content.readany()
        told.close()
    await server.until(lambda it: it.left == 1)


async def test_the_models_of_the_server_are_listed(it: Gateway) -> None:
    """By their public names; who embeds is not there, and that is said."""
    async with it.client.get(f"{it.url}/v1/models") as told:
        said = await told.json()
    assert {f"mill/{MODEL}", "default", "tandem"} <= {one["id"] for one in said["data"]}
    assert len(said["missing"]) == 1
