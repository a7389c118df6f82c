"""The official SDK's client, unchanged, over both transports and in both kinds of revisions."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator

from services.utility.toolbox.agent import AGENT as TOOLBOX
from tandem.control.v1 import host_service_pb2 as host_pb
from tandem.control.v1 import host_service_pb2_grpc as host_rpc
from tandem.control.v1.traffic_policy_pb2 import ChangeNote
from tandem.fleet.v1.plan_pb2 import PlannedAgent
from tandemkit.cli.main import main
from tandemkit.core.environment import Environment
from tandemkit.hosting.agent import Agent
from tandemkit.rpc.context import Context
from tandemkit.testing.parts import demand
from tests.repo.checkout import root
from tests.unit.services.gateway.http.gateways import Gateway, Probing, gateway
from tests.unit.services.gateway.http.mcp.keeping import LONG, Keeping

_CLIENT = Path(__file__).resolve().parent / "python" / "client.py"
_START = f"from {main.__module__} import main; main()"
_SERVER = (sys.executable, "-P", "-c", _START, "mcp")
_PLACES = os.pathsep.join(str(Path(one).resolve()) for one in sys.path)
_WITHIN_S = 40.0
_WAYS = [(way, mode) for way in ("http", "stdio") for mode in ("auto", "legacy")]


class Calling(Probing):
    """Has another agent come when it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def echo(self, request: Any, context: Context) -> Any:
        if request.text == "call another":
            self.asked.set()
        return await super().echo(request, context)

    async def add(self, it: Gateway, agent: Agent) -> None:
        """When that is asked for."""
        await self.asked.wait()
        stub: Any = host_rpc.HostServiceStub(it.channel)
        service = agent.promise.service.full_name
        planned = PlannedAgent(name=f"{agent.name}-late", service=service)
        note = ChangeNote(author="tests", reason="to see it come")
        await stub.AddAgent(
            host_pb.AddAgentRequest(agent=planned, note=note), metadata=(it.token.header,)
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=_WAYS, ids="-".join)
async def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, Any]]:
    """What the client's program says, when the agent knows that it hung up."""
    transport, mode = request.param
    probing = Calling()
    home = tmp_path_factory.mktemp("mcp")
    *kept, late = Keeping().agents
    async with (
        gateway(home, probing.agent, *kept, spare=late) as it,
        asyncio.timeout(_WITHIN_S),
    ):
        way = _over_http(it) if transport == "http" else _by_stdio(home)
        done, _ = await asyncio.gather(_client(way, mode), probing.add(it, late))
        await probing.hung_up.wait()
    assert done.returncode == 0, done.stderr
    yield {**json.loads(done.stdout), "mode": mode}


def test_the_newest_revision_that_both_speak_is_agreed_on(told: dict[str, Any]) -> None:
    """Without a handshake where the client can do without."""
    wanted = {"auto": "2026-07-28", "legacy": "2025-11-25"}
    assert told["revision"] == wanted[told["mode"]]


def test_tools_are_listed_with_schemas_that_are_valid(told: dict[str, Any]) -> None:
    """As the client took them over."""
    assert "probe-probe_Echo" in told["tools"]
    assert "memory-knowledge-base_SearchKnowledge" in told["tools"]
    for tool in told["tools"].values():
        Draft202012Validator.check_schema(tool["inputSchema"])
        Draft202012Validator.check_schema(tool["outputSchema"])


def test_a_tool_is_called(told: dict[str, Any]) -> None:
    """With text that some readers of lines would break."""
    assert told["echo"] == {"text": "Grüße \u2028 🌍"}


def test_a_failure_of_a_tool_is_told_to_the_model(told: dict[str, Any]) -> None:
    """With its reason and what to do; a tool that is not there is the client's mistake."""
    is_error, text = told["odd"]
    assert is_error
    assert text.startswith("FAILED_PRECONDITION/TOO_ODD: the text is odd\n")
    assert told["unknown"] == -32602


def test_progress_is_told(told: dict[str, Any]) -> None:
    """Before the answer, which has all of it."""
    *progress, answer = told["progress"]
    assert progress[0] == [1, '{"text":"one"}']
    assert answer == ["one", "two"]


def test_resources_are_listed_and_read(told: dict[str, Any]) -> None:
    """Documents by pages and in parts, whole as text."""
    assert told["resources"][0] == "tandem://memory/namespaces/tandem-docs/documents/page-a"
    assert told["read"] == LONG
    assert told["absent"] in {-32002, -32602}
    assert len(told["templates"]) == 2


def test_a_prompt_quotes_what_the_fleet_knows(told: dict[str, Any]) -> None:
    """Between our words, as a resource of its own."""
    assert told["prompt"] == ["text", "resource", "text"]


def test_a_change_of_the_tools_is_told(told: dict[str, Any]) -> None:
    """To a client that listens, when another agent has come."""
    assert told["changed"] == ["memory-memory-client_AddMemory"]


@pytest.mark.parametrize("shown", ["", "Bearer wrong"])
async def test_a_client_without_the_token_is_refused(tmp_path: Path, shown: str) -> None:
    """It ends, and says why."""
    async with gateway(tmp_path) as it:
        done = await _client({**_over_http(it), "authorization": shown}, "auto")
    assert done.returncode == 1
    assert "UNAUTHENTICATED" in done.stderr


@pytest.mark.parametrize("has_run", [True, False])
async def test_the_command_says_what_to_do_where_no_fleet_runs(
    tmp_path: Path, *, has_run: bool
) -> None:
    """On stderr: stdout is the protocol's."""
    if has_run:
        async with gateway(tmp_path):
            pass
    done = await _run(_SERVER, _by_stdio(tmp_path)["environment"])
    assert (done.returncode, done.stdout) == (1, "")
    assert "./tandem up" in done.stderr


@pytest.mark.parametrize(
    ("number", "said"), [(0, "'graphemes': '5'"), (1, "'utility-toolbox_AddPeriod'")]
)
async def test_the_programs_of_the_page_run_as_they_stand(
    tmp_path: Path, number: int, said: str
) -> None:
    """In a shell that has what `./tandem env` prints, and where `./tandem` is."""
    page = (root() / "docs" / "design" / "mcp.md").read_text("utf-8")
    program = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[number]
    _write_command(tmp_path / "tandem")
    async with gateway(tmp_path, TOOLBOX) as it:
        token_file = str(tmp_path / "token")
        shell = {"TANDEM_TOKEN_FILE": token_file, "TANDEM_GATEWAY": it.url}
        variables = _by_stdio(tmp_path)["environment"] | shell
        python = str(demand("mcp")["python"])
        done = await _run((python, "-I", "-c", program), variables, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


def _write_command(path: Path) -> None:
    start = f'"{sys.executable}" -P -c "{_START}" "$@"'
    path.write_text(f"#!/bin/sh\nPYTHONPATH='{_PLACES}' exec {start}\n")
    path.chmod(0o755)


def _over_http(it: Gateway) -> dict[str, Any]:
    return {"url": f"{it.url}/mcp", "authorization": it.token.bearer}


def _by_stdio(home: Path) -> dict[str, Any]:
    more = {"TANDEM_HOME": str(home), "PYTHONPATH": _PLACES}
    variables = {**Environment.read().variables, **more}
    return {"argv": _SERVER, "environment": variables}


async def _client(way: dict[str, Any], mode: str) -> subprocess.CompletedProcess[str]:
    python = str(demand("mcp")["python"])
    return await _run((python, "-I", str(_CLIENT), json.dumps(way), mode), {})


async def _run(
    argv: tuple[str, ...], variables: dict[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        argv,
        cwd=cwd,
        env={"PATH": Environment.read().path, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )
