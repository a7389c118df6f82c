"""What `up` takes out of its environment, and hands on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from services.utility.toolbox.agent import AGENT as TOOLBOX
from tandemkit.cli.boot import Asked, wanted
from tandemkit.cli.output import Refusal
from tandemkit.cli.plan import blueprint
from tandemkit.cli.secret_taking import Taking
from tandemkit.core import redaction
from tandemkit.core.environment import Environment
from tandemkit.machine.home import Home
from tandemkit.testing.checkouts import write_checkout

DECLARED = {"secrets": ["first_pin", "second_pin"], "optional_secrets": ["third_pin"]}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """Of a checkout whose toolbox needs two secrets and could use a third."""
    write_checkout(tmp_path, (REGISTRY, MACHINE, TOOLBOX))
    family = tmp_path / "deploy" / "fleet" / "utility.yaml"
    stanza = json.loads(family.read_text())["agents"][0]
    family.write_text(json.dumps({"agents": [stanza | DECLARED]}))
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path))
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path / "home"))
    found = Home(tmp_path / "home")
    found.prepare()
    yield found
    found.secrets.forget()
    redaction.forget()


def taking() -> Taking:
    environment = Environment.read()
    written = blueprint(environment)
    return Taking(written, wanted(written, Asked("laptop")), environment)


def provided(home: Home) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(home.secrets.environment.iterdir())}


async def test_c17_values_of_the_environment_are_read_once_and_removed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are declared and those that are called like secrets; the first go to the fleet."""
    for name in ("FIRST_PIN", "SECOND_PIN", "OTHER_API_KEY", "GITHUB_TOKEN"):
        monkeypatch.setenv(name, f"{name.lower()}-1234")
    monkeypatch.setenv("EDITOR", "vi")
    one = taking()
    left = one.wiped().variables
    assert left["EDITOR"] == "vi"
    assert not left.keys() & {"FIRST_PIN", "SECOND_PIN", "OTHER_API_KEY", "GITHUB_TOKEN"}
    assert await one.checked(home) == ""
    assert provided(home) == {"first_pin": "first_pin-1234", "second_pin": "second_pin-1234"}


async def test_the_file_of_variables_stands_behind_the_environment(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for values of deploy/."""
    file = home.folder / ".env"
    file.write_text("FIRST_PIN=of-the-file\nSECOND_PIN=of-the-file\n")
    file.chmod(0o600)
    monkeypatch.setenv("SECOND_PIN", "of-the-shell")
    assert await taking().checked(home) == ""
    assert provided(home) == {"first_pin": "of-the-file", "second_pin": "of-the-shell"}


async def test_m122_all_that_is_missing_is_told_before_anything_starts(home: Home) -> None:
    """Each with its place; nothing is handed over."""
    with pytest.raises(Refusal) as told:
        await taking().checked(home)
    first, second = told.value.message.splitlines()
    assert first.startswith("deploy/fleet/utility.yaml:1:")
    assert "Missing required secret `first_pin` of utility-toolbox" in first
    assert "export SECOND_PIN" in second
    assert told.value.exit_code == 1


async def test_a_lenient_profile_says_who_will_not_serve(home: Home, tmp_path: Path) -> None:
    """And starts."""
    profile = tmp_path / "deploy" / "fleet" / "profiles" / "laptop.yaml"
    profile.write_text(json.dumps(json.loads(profile.read_text()) | {"lenient": True}))
    said = await taking().checked(home)
    assert said.startswith("these agents do not serve until they have their secrets:\n")
    assert said.count("Missing required secret") == 2


async def test_a_value_that_no_file_of_a_secret_can_hold_is_refused_by_its_name(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no text, or too long; nothing of it is said, and nothing is handed over."""
    monkeypatch.setenv("FIRST_PIN", "first-pin-1234")
    for value in ("second-\udcff-pin", "x" * 70_000):
        monkeypatch.setenv("SECOND_PIN", value)
        with pytest.raises(Refusal, match="SECOND_PIN") as told:
            taking()
        assert value not in told.value.message
    assert not home.secrets.environment.exists()
