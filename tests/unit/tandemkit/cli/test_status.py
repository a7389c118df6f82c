"""`status` beside a supervisor on a real socket, and what is said where there is none."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.cli import machine_link
from tandemkit.cli.output import Refusal
from tandemkit.cli.status import status
from tandemkit.core.environment import Environment
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.supervise.tasks import Tasks, failure_of
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.machine import SOCKET, fake_machine_at, machine_of
from tandemkit.testing.parts import free_ports, short_folder
from tests.unit.tandemkit.cli.beside import AGENTS, machine, type_


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with short_folder() as folder:
        monkeypatch.setenv("TANDEM_HOME", str(folder))
        yield folder


async def test_status_exits_0_only_when_all_serves(home: Path) -> None:
    """An agent, a host, another process, or a start that goes on makes it 1."""
    async with machine(home) as fake:
        well = await type_(status)
        fake.machine.hosts[1].agents[0].state = nouns.AGENT_STATE_SUSPENDED
        agent = await type_(status)
        fake.machine.hosts[1].agents[0].state = nouns.AGENT_STATE_SERVING
        fake.machine.hosts[1].state = nouns.HOST_STATE_BUSY
        host = await type_(status)
        fake.machine.hosts[1].state = nouns.HOST_STATE_SERVING
        fake.machine.parts.add(name="consul", state=nouns.HOST_STATE_FAILED, cause="exit 1")
        part = await type_(status)
        del fake.machine.parts[:]
        fake.machine.settled = False
        start = await type_(status)
    assert [one.return_value for one in (well, agent, host, part, start)] == [0, 1, 1, 1, 1]
    assert "laptop  SERVING" in well.output
    assert "NOT ALL SERVING" in agent.output
    assert "exit 1" in part.output


async def test_status_tells_programs_everything(home: Path) -> None:
    """State, cause, pid, ports, restarts, use; of agents too."""
    async with machine(home) as fake:
        fake.machine.hosts[1].starts = 3
        fake.machine.hosts[1].agents[1].cause = "no model"
        fake.machine.hosts[1].agents[1].state = nouns.AGENT_STATE_NOT_SERVING
        fake.machine.hosts[1].cpu.FromMilliseconds(1500)
        told = json.loads((await type_(status, "--json")).output)
    (here,) = told["machines"]
    host = here["hosts"][1]
    assert not told["serving"]
    assert (here["machine"], here["here"], here["told_by"]) == ("laptop", True, "supervisor")
    assert (host["host"], host["restarts"], host["cpu_s"]) == ("agents", 2, 1.5)
    assert host["agents"][1] == {
        "agent": "utility-toolbox",
        "service": "tandem.utility.v1.ToolboxService",
        "state": "NOT_SERVING",
        "cause": "no model",
        "restarts": 0,
    }


async def test_where_nothing_runs_one_sentence_says_so(home: Path) -> None:
    """With the home that was looked at."""
    done = await type_(status)
    assert isinstance(done.exception, Refusal)
    assert done.exception.message == (
        f"nothing runs here ({home}); start the fleet with ./tandem up."
    )
    assert done.exception.exit_code == 1


async def test_a_socket_that_was_left_is_waited_for_and_then_told(home: Path) -> None:
    """A keeper may be about to start the supervisor again."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home / SOCKET))
    clock = FakeClock()
    told: list[Exception | None] = []

    async def look() -> None:
        told.append(await failure_of(machine_link.find(Environment.read(), clock)))

    async with Tasks() as tasks:
        tasks.spawn("look", look())
        await clock.advance(2)
        assert not told
        await clock.advance(2)
    assert "has died; ./tandem up starts it again" in str(told[0])


async def test_a_frozen_supervisor_is_named_with_its_pid(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes connections and answers nothing; nobody waits for it for ever."""
    monkeypatch.setattr(machine_link, "ANSWER_WITHIN_S", 0.2)
    monkeypatch.setattr("tandemkit.cli.status.ANSWER_WITHIN_S", 0.2)
    listening = f"""
import os, signal, socket
one = socket.socket(socket.AF_UNIX)
one.bind({str(home / SOCKET)!r})
one.listen(8)
os.kill(os.getpid(), signal.SIGSTOP)
"""
    command = Command((sys.executable, "-c", listening), home / "log", grace_s=0.0)

    async def ready() -> None:
        machine_link._listener(home / SOCKET)

    async with supervised_process(command, ready=ready) as process:
        done = await type_(status)
        os.kill(process.pid, signal.SIGCONT)
    assert isinstance(done.exception, Refusal)
    assert f"(pid {process.pid}) does not answer" in done.exception.message


async def test_a_home_without_room_for_a_socket_is_reached_by_its_port(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its path is longer than the kernel takes for one; the port stands in a note."""
    deep = home / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("TANDEM_HOME", str(deep))
    nothing = await type_(status)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    (deep / "running.json").write_text(json.dumps({"controls": [], "supervisor": address}))
    async with fake_machine_at(address, machine_of("laptop", agents=AGENTS)):
        done = await type_(status)
    assert "nothing runs here" in str(nothing.exception)
    assert done.return_value == 0


async def test_another_users_fleet_is_told_as_such(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of who has it."""

    def denied(_path: Path) -> int:
        raise PermissionError

    monkeypatch.setattr(machine_link, "_listener", denied)
    with pytest.raises(Refusal, match="belongs to " + pwd.getpwuid(os.getuid()).pw_name):
        await machine_link.find(Environment.read())
