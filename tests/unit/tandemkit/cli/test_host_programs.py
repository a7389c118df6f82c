"""Programs of hosts in other languages: there, or absent with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.control.v1 import machine_pb2 as nouns
from tandem.fleet.v1.plan_pb2 import Plan
from tandem.fleet.v1.runtime_pb2 import RUNTIME_GO, RUNTIME_NODE
from tandemkit.cli.host_programs import LATE, fit, is_late
from tandemkit.cli.output import Refusal
from tandemkit.cli.screen import screen, value_of
from tandemkit.cli.starting import Began
from tandemkit.cli.steps import StepFailure, Steps
from tandemkit.core.environment import Environment


def planned() -> Plan:
    plan = Plan()
    machine = plan.machines.add(name="laptop")
    for name, runtime in (("py", 0), ("js", RUNTIME_NODE), ("gone", RUNTIME_GO)):
        host = machine.hosts.add(name=name, runtime=runtime)
        host.agents.add(name=f"{name}-agent", service=f"tandem.{name}.v1.AgentService")
    return plan


async def node(_environment: Environment, _steps: Steps) -> tuple[str, ...]:
    return ("/usr/bin/node", "/cache/0123/main.js")


async def without_tools(_environment: Environment, _steps: Steps) -> tuple[str, ...]:
    raise Refusal("Go is not on PATH; install it.")


async def broken(_environment: Environment, _steps: Steps) -> tuple[str, ...]:
    raise StepFailure("building the Go host", "main.go:1\nundefined: Frob\n")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return Environment.read()


async def test_each_host_is_given_its_program_and_python_needs_none(
    environment: Environment, tmp_path: Path
) -> None:
    """What the supervisor starts stands in the plan."""
    plan = planned()
    await fit(plan, environment, tmp_path, {RUNTIME_NODE: node, RUNTIME_GO: node})
    programs = {host.name: list(host.program) for host in plan.machines[0].hosts}
    assert programs == {
        "py": [],
        "js": ["/usr/bin/node", "/cache/0123/main.js"],
        "gone": ["/usr/bin/node", "/cache/0123/main.js"],
    }
    assert not plan.absent


async def test_without_its_tools_a_language_is_absent_and_the_rest_is_there(
    environment: Environment, tmp_path: Path
) -> None:
    """`up` says who is absent and why, to people and to programs."""
    plan = planned()
    await fit(plan, environment, tmp_path, {RUNTIME_NODE: node, RUNTIME_GO: without_tools})
    assert [host.name for host in plan.machines[0].hosts] == ["py", "js"]
    machine = nouns.Machine(name="laptop", absent=plan.absent)
    said = screen(machine, Began(attached=False), detached=True)
    assert "ABSENT: gone-agent: Go is not on PATH; install it." in said.splitlines()
    assert value_of(machine)["absent"] == [
        {
            "agent": "gone-agent",
            "service": "tandem.gone.v1.AgentService",
            "why": "Go is not on PATH; install it",
        }
    ]


async def test_a_build_that_fails_is_one_sentence_with_the_path_of_its_log(
    environment: Environment, tmp_path: Path
) -> None:
    """And it hinders nobody else."""
    plan = planned()
    await fit(plan, environment, tmp_path, {RUNTIME_NODE: node, RUNTIME_GO: broken})
    log = tmp_path / "build-go.log"
    why = f"building the Go host failed: undefined: Frob ({log} has the rest)"
    assert [one.why for one in plan.absent] == [why]
    assert log.read_text() == "main.go:1\nundefined: Frob\n"


async def test_what_has_to_be_built_is_late_and_what_cannot_be_is_absent(
    environment: Environment, tmp_path: Path
) -> None:
    """A first start goes on without both, and has the late ones join."""

    async def unbuilt(_environment: Environment, _steps: Steps) -> tuple[str, ...]:
        raise Refusal(LATE)

    plan = planned()
    await fit(plan, environment, tmp_path, {RUNTIME_NODE: unbuilt, RUNTIME_GO: without_tools})
    assert [host.name for host in plan.machines[0].hosts] == ["py"]
    assert is_late(plan)
    plan = planned()
    await fit(plan, environment, tmp_path, {RUNTIME_NODE: node, RUNTIME_GO: without_tools})
    assert not is_late(plan)
