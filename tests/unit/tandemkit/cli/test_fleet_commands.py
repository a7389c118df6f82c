"""`call`, `agents` and `up` against a real server: what a person types, and what it answers."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tandemkit.cli import up as up_module
from tandemkit.cli.agents import agents
from tandemkit.cli.call import call
from tandemkit.cli.output import Refusal
from tandemkit.cli.up import check_free, fleet, http_of, membership, screen
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.http_port import address_of, listening
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


def test_a_taken_port_is_refused_before_anything_is_built() -> None:
    """Two fleets on one port would each get half of the calls."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Refusal, match="or take a free port"):
            check_free(address)
    host, port = check_free("127.0.0.1:0")
    assert host == "127.0.0.1"
    assert port > 0


@pytest.mark.parametrize("address", ["", "8200", "127.0.0.1:http", "127.0.0.1:", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """Wrong usage is a sentence, not a traceback."""
    with pytest.raises(Refusal):
        check_free(address)


def test_the_first_host_of_a_fleet_is_its_own_control() -> None:
    """Clients are told an address that they can use, as a number."""
    here = membership("localhost:9", "")
    assert (here.controls, here.host.address) == (("localhost:9",), "127.0.0.1")
    there = membership("0.0.0.0:9", "127.0.0.2")
    assert (there.controls, there.host.address) == (("127.0.0.2:9",), "127.0.0.2")
    with pytest.raises(Refusal, match=r"0\.0\.0\.0:9 is no address for callers; --advertise"):
        membership("0.0.0.0:9", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agents: [", "1:10: expected"),
        ("agents: 5", "1:9: `agents`"),
        ("agents: [{name: a}]", "1:17: `agents[0].name`"),
        ("agents: [{name: no-one, service: tandem.no.v1.OneService}]", "has no module services"),
        ("- 1", "1:1: a mapping"),
    ],
)
def test_a_broken_fleet_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    """Whoever mends it knows which one."""
    (tmp_path / "text.yaml").write_text(text)
    with pytest.raises(Refusal, match=r"text\.yaml:1:\d+: ") as refused:
        fleet(tmp_path)
    assert said in refused.value.message


def test_an_empty_fleet_is_refused(tmp_path: Path) -> None:
    """Serving nothing helps nobody."""
    with pytest.raises(Refusal, match="no stanza"):
        fleet(tmp_path)


def test_the_screen_names_agents_and_calls_at_its_own_address() -> None:
    """What it says to try works as it stands."""
    told = screen(PLACED, "127.0.0.1:9")
    assert "probe-probe" in told
    assert "--address 127.0.0.1:9" in told
    assert "grpcurl -plaintext 127.0.0.1:9 list" in told


def test_the_screen_names_the_http_port_that_there_is() -> None:
    """And none where there is none."""
    assert "curl http://127.0.0.1:7/health" in screen(PLACED, "127.0.0.1:9", "127.0.0.1:7")
    assert "curl" not in screen(PLACED, "127.0.0.1:9").replace("grpcurl", "")


def test_only_an_http_port_that_was_asked_for_must_be_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual one may belong to another fleet of this machine."""
    with listening("127.0.0.1:0") as held:
        monkeypatch.setattr(up_module, "DEFAULT_HTTP", address_of(held))
        assert http_of(None) is None
        with pytest.raises(Refusal, match="takes a free port"):
            http_of(address_of(held))
    monkeypatch.setattr(up_module, "DEFAULT_HTTP", "127.0.0.1:0")
    found = http_of(None)
    assert found is not None
    found.close()


async def test_a_deadline_is_above_zero(tmp_path: Path) -> None:
    """Zero would be none at all, and one below it is over before the call."""
    async with served(tmp_path) as address:
        for deadline in ("0", "-1"):
            arguments = ("probe-probe/Echo", "--address", address, "--deadline-s", deadline)
            done = await invoke(call, *arguments)
            assert done.exit_code == 2
            assert "--deadline-s" in done.output
