"""The fleet beyond this machine, as control and other supervisors tell of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tandem.control.v1 import fleet_status_service_pb2 as status_pb
from tandem.control.v1 import machine_pb2 as nouns
from tandemkit.cli.agents import agents
from tandemkit.cli.commands import command_of
from tandemkit.cli.fleet_view import MACHINE_SERVICE
from tandemkit.cli.policy import policy
from tandemkit.cli.status import status
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.testing.agents import fake_agent
from tandemkit.testing.machine import fake_machine, fake_machine_at, machine_of
from tandemkit.testing.parts import free_ports, short_folder
from tests.unit.services.control.traffic_policy.policies import policies_at
from tests.unit.tandemkit.cli.beside import type_

FILES = "tandem.utility.v1.FilesService"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with short_folder() as folder:
        monkeypatch.setenv("TANDEM_HOME", str(folder))
        yield folder


@asynccontextmanager
async def control(folder: Path, told: Sequence[status_pb.FleetAgent]) -> AsyncIterator[str]:
    """A control that knows these agents."""

    async def list_agents(_request: Any, _context: Any) -> status_pb.ListAgentsResponse:
        return status_pb.ListAgentsResponse(agents=told)

    agent = fake_agent(status_pb.DESCRIPTOR, ListAgents=list_agents)
    place = Place("127.0.0.1:0", folder, SystemClock(), 0.0)
    async with hosting((Placed(agent, None),), place) as port:
        yield f"127.0.0.1:{port}"


def agent_on(service: str, machine: str, target: str, **more: Any) -> status_pb.FleetAgent:
    told = status_pb.FleetAgent(service=service, short_name=service)
    one = {"instance": f"{machine}-one", "host": f"hosts/{machine}-agents", "serving": True, **more}
    told.instances.add(machine=machine, target=target, **one)
    return told


async def test_each_agent_is_listed_with_where_it_runs(tmp_path: Path) -> None:
    """One line an instance; an agent that nobody serves is a no."""
    told = [
        agent_on(FILES, "laptop", "127.0.0.1:8200"),
        agent_on("tandem.utility.v1.ToolboxService", "pc2", "10.0.0.2:8200", drained=True),
        status_pb.FleetAgent(service="tandem.text.v1.GoneService", short_name="text-gone"),
    ]
    async with control(tmp_path, told) as address:
        value = await type_(agents, "--address", address, "--json")
        text = await type_(agents, "--address", address)
    found = {one["name"]: one for one in json.loads(value.output)}
    assert value.return_value == 1
    assert found["utility-files"]["instances"][0] == {
        "instance": "laptop-one",
        "state": "SERVING",
        "host": "laptop-agents",
        "machine": "laptop",
        "address": "127.0.0.1:8200",
        "version": "",
    }
    assert found["utility-toolbox"]["status"] == "DRAINED"
    assert found["text-gone"]["status"] == "ABSENT"
    assert "laptop-one            SERVING  laptop-agents  127.0.0.1:8200" in text.output


async def test_other_machines_are_told_of_by_their_own_supervisors(
    home: Path, tmp_path: Path
) -> None:
    """With all that those know; and where one does not answer, with what control knows."""
    there = machine_of("mainpc", models=("text-summarize",))
    there.hosts[0].state = nouns.HOST_STATE_BUSY
    (port, nobody) = free_ports(2)
    told = [
        agent_on(MACHINE_SERVICE, "mainpc", f"127.0.0.1:{port}"),
        agent_on(MACHINE_SERVICE, "pc2", f"127.0.0.1:{nobody}"),
        agent_on(FILES, "pc2", "10.0.0.2:8200", serving=False),
        agent_on(FILES, "laptop", "127.0.0.1:8200"),
    ]
    here = machine_of("laptop", agents=("utility-files",))
    async with (
        control(tmp_path, told) as address,
        fake_machine_at(f"127.0.0.1:{port}", there),
        fake_machine(home, here) as fake,
    ):
        fake.machine.controls.append(address)
        done = await type_(status, "--json")
        text = await type_(status)
    machines = {one["machine"]: one for one in json.loads(done.output)["machines"]}
    assert list(machines) == ["laptop", "mainpc", "pc2"]
    assert [one["told_by"] for one in machines.values()] == ["supervisor", "supervisor", "control"]
    assert machines["mainpc"]["hosts"][0]["state"] == "BUSY"
    assert machines["pc2"]["hosts"][0]["state"] == "DEGRADED"
    assert done.return_value == 1
    assert "its supervisor does not answer; told by control" in text.output


async def test_another_machine_is_commanded_by_its_own_supervisor(
    home: Path, tmp_path: Path
) -> None:
    """Which control knows; a machine that it does not know is told with the near one."""
    (port,) = free_ports(1)
    told = [agent_on(MACHINE_SERVICE, "mainpc", f"127.0.0.1:{port}")]
    there = machine_of("mainpc", models=("text-summarize",))
    async with control(tmp_path, told) as address, fake_machine_at(f"127.0.0.1:{port}", there):
        (home / "running.json").write_text(json.dumps({"controls": [address]}))
        done = await type_(command_of("stop"), "models", "--machine", "mainpc")
        wrong = await type_(command_of("stop"), "models", "--machine", "manpc")
    assert done.output == "stopped: host models\n"
    assert there.hosts[0].state == nouns.HOST_STATE_STOPPED
    assert "did you mean `mainpc`?" in str(wrong.exception)


async def test_a_drained_host_is_told_as_such(home: Path, tmp_path: Path) -> None:
    """Its supervisor does not know; it serves, and nobody new calls it."""
    told = [agent_on(FILES, "laptop", "127.0.0.1:8200", drained=True)]
    here = machine_of("laptop", control=("control-registry",), agents=("utility-files",))
    async with control(tmp_path, told) as address, fake_machine(home, here) as fake:
        fake.machine.controls.append(address)
        done = await type_(status, "--json")
    hosts = json.loads(done.output)["machines"][0]["hosts"]
    assert [host["state"] for host in hosts] == ["SERVING", "DRAINING"]
    assert hosts[1]["cause"].startswith("drained by the traffic policy")
    assert done.return_value == 1


async def test_a_control_that_is_silent_is_a_remark(home: Path) -> None:
    """This machine is told of all the same, and is what decides."""
    (nobody,) = free_ports(1)
    async with fake_machine(home, machine_of("laptop", agents=("utility-files",))) as fake:
        fake.machine.controls.append(f"127.0.0.1:{nobody}")
        done = await type_(status)
    assert done.return_value == 0
    assert f"no control answers (127.0.0.1:{nobody})" in done.output


async def test_a_host_is_drained_and_returned_by_the_traffic_policy(
    home: Path, tmp_path: Path
) -> None:
    """For the whole fleet, with the note; by host or by group, and once."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    async with (
        policies_at(address, tmp_path),
        fake_machine(home, machine_of("laptop", agents=("utility-files",))) as fake,
    ):
        fake.machine.controls.append(address)
        allowed = await type_(
            policy, "drain", "laptop-agents", "--allow-absent", "--address", address
        )
        again = await type_(command_of("drain"), "agents")
        back = await type_(command_of("return"), "laptop-agents", "--reason", "done", "--json")
        history = await type_(policy, "history", "--address", address)
    assert allowed.exit_code == 0
    assert again.output == "agents was drained already; nothing has changed.\n"
    assert json.loads(back.output)["hosts"] == ["agents"]
    assert "done\n     hosts/laptop-agents: returned" in history.output
    assert not fake.commands
