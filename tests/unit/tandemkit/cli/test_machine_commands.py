"""`logs` and the commands to hosts and agents, beside a supervisor on a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tandem.utility.v1 import toolbox_service_pb2
from tandemkit.cli.commands import DEEDS, command_of
from tandemkit.cli.logs import logs
from tandemkit.cli.output import Refusal
from tandemkit.testing.parts import short_folder
from tandemkit.written.contract_comments import IMAGE
from tests.unit.tandemkit.cli.beside import AGENTS, machine, type_


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with short_folder() as folder:
        monkeypatch.setenv("TANDEM_HOME", str(folder))
        yield folder


async def run(name: str, *words: str) -> Result:
    return await type_(command_of(name), *words)


@pytest.mark.parametrize("command", [logs, command_of("stop")], ids=lambda one: one.name)
async def test_where_nothing_runs_one_sentence_says_so(home: Path, command: click.Command) -> None:
    """With the home that was looked at."""
    done = await type_(command, "utility-files")
    assert isinstance(done.exception, Refusal)
    assert done.exception.message == (
        f"nothing runs here ({home}); start the fleet with ./tandem up."
    )
    assert done.exception.exit_code == 1


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.name)
async def test_each_command_says_what_it_did_and_why_it_was_asked(home: Path, deed: object) -> None:
    """To an agent, with the note that goes into the record."""
    name = str(getattr(deed, "name", ""))
    async with machine(home) as fake:
        first = await run(name, "utility-files", "--reason", "a drill", "--author", "ana")
        again = await run(name, "utility-files", "--json")
    (sent, _) = fake.commands
    assert first.exit_code == 0, first.exception
    assert (sent.note.author, sent.note.reason) == ("ana", "a drill")
    assert sent.verb == getattr(deed, "verb", None)
    assert sent.request_id != fake.commands[1].request_id
    assert json.loads(again.output)["agents"] == ["utility-files"]


async def test_what_is_so_already_is_told_as_such(home: Path) -> None:
    """Nobody wonders what a second `stop` did."""
    async with machine(home):
        first = await run("stop", "agents")
        second = await run("stop", "agents")
    assert first.output == "stopped: host agents\n"
    assert second.output == "agents was stopped already; nothing has changed.\n"


async def test_a_wrong_name_gets_the_near_one(home: Path) -> None:
    """Of agents, hosts and groups."""
    async with machine(home):
        agent = await run("restart", "utility-file")
        host = await run("restart", "agnets")
    assert isinstance(agent.exception, Refusal)
    assert agent.exception.message.endswith("did you mean `utility-files`?")
    assert agent.exception.exit_code == 1
    assert isinstance(host.exception, Refusal)
    assert host.exception.message.endswith("did you mean `agents`?")


async def test_a_host_is_drained_by_the_traffic_policy(home: Path) -> None:
    """Which needs a control; without one it is said, and nothing is done."""
    async with machine(home) as fake:
        done = await run("drain", "agents")
    assert isinstance(done.exception, Refusal)
    assert "no control of laptop is known yet" in done.exception.message
    assert not fake.commands


async def test_logs_show_the_last_lines_of_a_host(home: Path) -> None:
    """Of an agent those of its host that name it; so many as were asked for."""
    async with machine(home) as fake:
        line = '{"event": "a.b", "agent": "%s", "n": %d}'
        fake.lines["agents"] = [line % (AGENTS[number % 2], number) for number in range(60)]
        few = await type_(logs, "utility-files", "-n", "2")
        all_ = await type_(logs, "agents", "--json")
        wrong = await type_(logs, "utility-file")
    assert [line.rpartition("  ")[2] for line in few.output.splitlines()] == ["n=56", "n=58"]
    assert [json.loads(line)["n"] for line in all_.output.splitlines()] == list(range(10, 60))
    assert isinstance(wrong.exception, Refusal)


async def test_logs_of_a_fleet_that_has_gone_come_from_its_files(home: Path) -> None:
    """Whoever asks why it is gone asks when nobody answers any more."""
    (home / "logs").mkdir()
    line = '{"event": "a.b", "agent": "%s", "n": %d}\n'
    wrote = "".join(line % (AGENTS[number % 2], number) for number in range(9))
    (home / "logs" / "agents.log").write_text(wrote + "Killed \x1b[2J\n")
    host = await type_(logs, "agents", "-n", "2")
    agent = await type_(logs, "utility-toolbox", "-n", "1")
    wrong = await type_(logs, "nobody")
    assert host.stdout.splitlines()[1] == r"Killed \x1b[2J"
    assert host.stderr.startswith("tandem: nothing runs here")
    assert agent.stdout.endswith("agent=utility-toolbox  n=7\n")
    assert isinstance(wrong.exception, Refusal)


async def test_an_agent_is_named_as_its_contract_names_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other spellings too, by the contracts of the checkout."""
    image = FileDescriptorSet()
    image.file.add().ParseFromString(toolbox_service_pb2.DESCRIPTOR.serialized_pb)
    (home / IMAGE).write_bytes(image.SerializeToString())
    monkeypatch.setenv("TANDEM_STUBS", str(home))
    async with machine(home) as fake:
        done = await run("restart", "UnifiedUtilsAgent")
    assert done.output == "restarted: utility-toolbox\n"
    assert fake.commands[0].target == "tandem.utility.v1.ToolboxService"


async def test_a_group_that_shares_its_host_is_not_drained_alone(home: Path) -> None:
    """The others would go with it, so it is said which."""
    async with machine(home) as fake:
        fake.machine.hosts[1].groups.append("models")
        refused = await run("drain", "models")
    assert str(refused.exception) == (
        "group models shares host agents with agents; name the host, or agents of the group."
    )
