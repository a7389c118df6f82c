"""What commands that start a fleet do before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.control.v1 import machine_pb2 as nouns
from tandem.fleet.v1.runtime_pb2 import RUNTIME_GO, RUNTIME_NODE
from tandemkit.cli.output import Refusal
from tandemkit.cli.readying import readied
from tandemkit.cli.steps import Steps
from tandemkit.core import redaction
from tandemkit.core.environment import Environment
from tandemkit.machine.home import Home


def planned() -> nouns.WantedMachine:
    """As a checkpoint holds it: with programs of then."""
    wanted = nouns.WantedMachine(machine="laptop")
    machine = wanted.plan.machines.add(name="laptop")
    for name, runtime in (("js", RUNTIME_NODE), ("go", RUNTIME_GO)):
        host = machine.hosts.add(name=name, runtime=runtime, program=["/gone"])
        host.agents.add(name=f"{name}-agent", service="tandem.any.v1.AnyService")
    machine.hosts.add(name="py").agents.add(name="py-agent", secrets=["first_pin"])
    return wanted


async def test_a_plan_of_before_gets_its_secrets_and_the_programs_of_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No builder of a program knows a secret, and a program that cannot be had is left out."""
    monkeypatch.setenv("FIRST_PIN", "a-pin-of-the-shell")
    monkeypatch.setenv("NPM_TOKEN", "another-of-the-shell")
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    home, wanted = Home(tmp_path / "home"), planned()
    home.prepare()
    seen: set[str] = set()

    async def node(environment: Environment, _steps: Steps) -> tuple[str, ...]:
        seen.update(environment.variables)
        return ("/node", "/new.js")

    async def without(_environment: Environment, _steps: Steps) -> tuple[str, ...]:
        raise Refusal("Go is not on PATH.")

    makes = {RUNTIME_NODE: node, RUNTIME_GO: without}
    try:
        left = await readied(wanted, Environment.read(), home, makes=makes)
        provided = (home.secrets.environment / "first_pin").read_text()
    finally:
        home.secrets.forget()
        redaction.forget()
    assert provided == "a-pin-of-the-shell"
    assert "PATH" in seen
    assert not {"FIRST_PIN", "NPM_TOKEN"} & (seen | left.variables.keys())
    programs = {host.name: list(host.program) for host in wanted.plan.machines[0].hosts}
    assert programs == {"js": ["/node", "/new.js"], "py": []}
    assert [(one.name, one.why) for one in wanted.plan.absent] == [
        ("go-agent", "Go is not on PATH")
    ]
