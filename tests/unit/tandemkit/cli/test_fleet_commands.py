"""`call` and `agents` against a real server: what a person types, and what it answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tandemkit.cli.agents import agents
from tandemkit.cli.call import call
from tandemkit.cli.output import Refusal
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.testing import probe
from tests.unit.tandemkit.hosting.probe_agent import AGENT

PLACED = (Placed(AGENT, probe.ProbeRequest()),)


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    async with hosting(PLACED, Place("127.0.0.1:0", folder, SystemClock(), 0.0)) as port:
        yield f"127.0.0.1:{port}"


async def invoke(command: click.Command, *arguments: str, told: str | None = None) -> Result:
    """The command in a thread, as it blocks like any program."""
    return await asyncio.to_thread(CliRunner().invoke, command, arguments, input=told)


async def test_a_call_prints_the_answer_as_json(tmp_path: Path) -> None:
    """The short name and the method are all that a person needs to know."""
    async with served(tmp_path) as address:
        done = await invoke(call, "probe-probe/Echo", '{"text": "hi"}', "--address", address)
    assert done.exit_code == 0
    assert json.loads(done.output) == {"text": "hi"}


async def test_a_call_takes_the_full_name_and_stdin(tmp_path: Path) -> None:
    """What grpcurl calls a method works here too, and a request may come from a pipe."""
    async with served(tmp_path) as address:
        arguments = (f"{probe.SERVICE}.Echo", "-", "--address", address)
        done = await invoke(call, *arguments, told='{"text": "hi"}')
    assert json.loads(done.output) == {"text": "hi"}


async def test_a_call_takes_another_spelling_of_the_agent(tmp_path: Path) -> None:
    """An alias that the contract declares names the agent as well."""
    async with served(tmp_path) as address:
        done = await invoke(call, "ProbeAgent/Echo", '{"text": "hi"}', "--address", address)
    assert json.loads(done.output) == {"text": "hi"}


async def test_a_refused_call_tells_the_field(tmp_path: Path) -> None:
    """Code, reason and violation are there for a program, and the exit code is a no."""
    request = json.dumps({"text": "x" * (probe.TEXT_CHARS_MAX + 1)})
    async with served(tmp_path) as address:
        arguments = ("probe-probe/Echo", request, "--address", address)
        done = await invoke(call, *arguments, "--json")
        plain = await invoke(call, *arguments)
    error = json.loads(done.output)["error"]
    assert done.exit_code == 1
    assert error["code"] == "INVALID_ARGUMENT"
    assert list(error["violations"]) == ["text"]
    assert isinstance(plain.exception, Refusal)
    assert plain.exception.message.startswith("INVALID_ARGUMENT/")
    assert "\n  text: " in plain.exception.message


@pytest.mark.parametrize(
    ("method", "request_json", "said"),
    [
        ("probe-probe/Nothing", "{}", "has no method 'Nothing'"),
        ("nobody/Echo", "{}", "no service 'nobody'"),
        ("Echo", "{}", "not of the form SERVICE/METHOD"),
        ("probe-probe/Echo", '{"txt": 1}', "the request is no tandem.probe.v1.ProbeRequest"),
        ("probe-probe/Echo", "{", "the request is no tandem.probe.v1.ProbeRequest"),
    ],
)
async def test_a_wrong_call_says_what_is_right(
    tmp_path: Path, method: str, request_json: str, said: str
) -> None:
    """A misspelt name or field is answered with a sentence."""
    async with served(tmp_path) as address:
        done = await invoke(call, method, request_json, "--address", address)
    assert isinstance(done.exception, Refusal)
    assert said in done.exception.message


async def test_the_list_shows_each_agent_and_its_health(tmp_path: Path) -> None:
    """Health and reflection are plumbing, not agents."""
    async with served(tmp_path) as address:
        done = await invoke(agents, "--address", address, "--json")
    (found,) = json.loads(done.output)
    assert (found["name"], found["status"]) == ("probe-probe", "SERVING")
    assert "Echo" in found["methods"]


async def test_a_deadline_is_above_zero(tmp_path: Path) -> None:
    """Zero would be none at all, and one below it is over before the call."""
    async with served(tmp_path) as address:
        for deadline in ("0", "-1"):
            arguments = ("probe-probe/Echo", "--address", address, "--deadline-s", deadline)
            done = await invoke(call, *arguments)
            assert done.exit_code == 2
            assert "--deadline-s" in done.output
