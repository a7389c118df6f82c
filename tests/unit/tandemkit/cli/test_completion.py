"""What Tab offers: names of the running fleet, or of the checkout; never an error."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tandem.utility.v1 import toolbox_service_pb2
from tandemkit.cli import completion, names_cache
from tandemkit.cli.main import tandem
from tandemkit.cli.summaries import SUMMARIES
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing import probe
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.machine import FakeMachine, fake_machine, machine_of
from tandemkit.testing.parts import short_folder
from tandemkit.written.contract_comments import IMAGE
from tests.unit.tandemkit.hosting.probe_agent import AGENT

LAPTOP = {"control": ["control-registry"], "agents": ["utility-files", "utility-toolbox"]}


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Of a person with a checkout that has one contract."""
    with short_folder() as folder:
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        monkeypatch.setenv("TANDEM_HOME", str(folder))
        monkeypatch.setenv("TANDEM_STUBS", str(folder))
        image = FileDescriptorSet()
        put(image, toolbox_service_pb2.DESCRIPTOR)
        (folder / IMAGE).write_bytes(image.SerializeToString())
        yield folder


def put(image: FileDescriptorSet, file: FileDescriptor) -> None:
    """Behind what it imports, as protoc writes it."""
    for one in file.dependencies:
        put(image, one)
    if file.name not in {one.name for one in image.file}:
        image.file.add().ParseFromString(file.serialized_pb)


async def offered(line: str) -> list[str]:
    """For a line whose last word is not finished; a space at its end begins a new one."""
    *words, last = line.split(" ")
    complete = ShellComplete(tandem, {}, "tandem", completion.VARIABLE)
    found = await asyncio.to_thread(complete.get_completions, words, last)
    return [str(item.value) for item in found]


@asynccontextmanager
async def machine(home: Path) -> AsyncIterator[FakeMachine]:
    async with fake_machine(home, machine_of("laptop", **LAPTOP)) as fake:
        yield fake


async def test_commands_are_offered_without_loading_them(home: Path) -> None:
    """With what they do, where the shell shows that."""
    assert set(SUMMARIES) <= set(await offered(""))
    assert await offered("stat") == ["status"]
    assert await offered("policy dr") == ["drain"]
    assert "--watch" in await offered("status --")


async def test_names_come_from_the_running_fleet(home: Path) -> None:
    """Agents, hosts and groups for a command, services for a call."""
    async with machine(home):
        assert await offered("restart util") == ["utility-files", "utility-toolbox"]
        assert set(await offered("stop ")) >= {"agents", "control", "control-registry"}
        assert await offered("call utility-t") == ["utility-toolbox/"]
        assert await offered("call x/y --instance utility-f") == ["utility-files"]


async def test_names_are_kept_for_a_moment(home: Path) -> None:
    """So that the next Tab asks nobody, and one behind the fleet's end still knows it."""
    environment, clock = Environment.read(), FakeClock()

    async def hosts() -> tuple[str, ...]:
        return (await asyncio.to_thread(names_cache.known, environment, clock)).hosts

    async with machine(home) as fake:
        assert await hosts() == ("agents", "control")
        fake.machine.hosts.add(host="models")
        assert await hosts() == ("agents", "control")
        await clock.advance(60)
        assert await hosts() == ("agents", "control", "models")
    await clock.advance(60)
    assert await hosts() == ("agents", "control", "models")


async def test_without_a_fleet_the_checkout_is_offered(home: Path) -> None:
    """Services, methods, and the fields of a request."""
    assert await offered("call util") == ["utility-toolbox/"]
    assert await offered("call utility-toolbox/Convert") == [
        "utility-toolbox/ConvertTime",
        "utility-toolbox/ConvertQuantity",
    ]
    assert await offered("call utility-toolbox/ConvertQuantity --q") == [
        "--quantity",
        "--quantity.value",
        "--quantity.unit",
    ]
    assert "sha256" in await offered("call utility-toolbox/DigestBytes --algorithm sha2")
    assert await offered("stop utility") == ["utility-toolbox"]


async def test_fields_come_from_the_servers_reflection(home: Path) -> None:
    """Also of a contract that the checkout does not have."""
    placed = (Placed(AGENT, probe.ProbeRequest()),)
    async with hosting(placed, Place("127.0.0.1:0", home / "state", SystemClock(), 0.0)) as port:
        (home / "running.json").write_text(f'{{"controls": ["127.0.0.1:{port}"]}}')
        assert await offered("call probe-probe/E") == ["probe-probe/Echo"]
        assert await offered("call probe-probe/Echo --te") == ["--text"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"names": 5}', '{"names": [0, 5]}'])
async def test_a_damaged_file_of_names_is_made_anew(home: Path, damage: str) -> None:
    """Nobody is told of it."""
    assert await offered("call utility-toolbox/DigestB") == ["utility-toolbox/DigestBytes"]
    (kept,) = (home / "cache/tandem/completion").glob("*.json")
    kept.write_text(damage.replace("0", str(SystemClock().now().timestamp())))
    assert await offered("call util") == ["utility-toolbox/"]
    assert await offered("call utility-toolbox/DigestB") == ["utility-toolbox/DigestBytes"]


@pytest.mark.parametrize(
    "line",
    ["call nobody/", "call nobody/No --", "call x/y --text ", "call / --", "logs ", "call -"],
)
async def test_what_nobody_knows_offers_nothing_of_itself(home: Path, line: str) -> None:
    """And is no error."""
    assert not [one for one in await offered(line) if "nobody" in one]


async def test_a_frozen_fleet_does_not_hold_up_the_shell(home: Path) -> None:
    """Who holds Tab waits a third of a second at most, and is offered what the checkout has."""
    listening = f"""
import os, signal, socket
near, far = socket.socket(socket.AF_UNIX), socket.create_server(("127.0.0.1", 0))
near.bind({str(home / "machine.sock")!r})
near.listen(8)
port = far.getsockname()[1]
open({str(home / "running.json")!r}, "w").write('{{"controls": ["127.0.0.1:%d"]}}' % port)
os.kill(os.getpid(), signal.SIGSTOP)
"""
    command = Command((sys.executable, "-c", listening), home / "log", grace_s=0.0)

    async def ready() -> None:
        assert (home / "running.json").exists()

    async with supervised_process(command, ready=ready) as process:
        began_s = SystemClock().monotonic_s()
        assert await offered("call util") == ["utility-toolbox/"]
        took_s = SystemClock().monotonic_s() - began_s
        os.kill(process.pid, signal.SIGCONT)
    assert took_s < 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(shell: str) -> None:
    """Which asks by the one variable that the command and the launcher know."""
    script = CliRunner().invoke(completion.completion, [shell]).output
    assert f"{completion.VARIABLE}={shell}_complete" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
