"""`./tandem secret`: what it says where no fleet runs, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from services.utility.toolbox.agent import AGENT as TOOLBOX
from tandemkit.cli.output import Refusal
from tandemkit.cli.secret import secret
from tandemkit.core import redaction
from tandemkit.machine.home import Home
from tandemkit.secrecy import files
from tandemkit.testing.checkouts import write_checkout

VALUE = "planted-77af31"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    redaction.forget()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a fleet whose toolbox needs two secrets, and a home."""
    write_checkout(tmp_path, (REGISTRY, MACHINE, TOOLBOX))
    family = tmp_path / "deploy" / "fleet" / "utility.yaml"
    stanza = json.loads(family.read_text())["agents"][0]
    declared = {"secrets": ["api_key"], "optional_secrets": ["spare_key"]}
    family.write_text(json.dumps({"agents": [stanza | declared]}))
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    profile = tmp_path / "deploy" / "fleet" / "profiles" / "laptop.yaml"
    sources = {"secrets": {"folders": [str(mounted)]}}
    profile.write_text(json.dumps(json.loads(profile.read_text()) | sources))
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path))
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path / "home"))
    yield tmp_path
    Home(tmp_path / "home").secrets.forget()


def told(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(secret, arguments, input=typed)


@pytest.mark.usefixtures("checkout")
def test_what_is_missing_is_named_with_who_asks_for_it() -> None:
    """The answer is no, with the stanza's place; an optional one is no reason."""
    done = told("check", "--json")
    assert done.exit_code == 1
    value = json.loads(done.stdout)
    (missing,) = value["missing"]
    assert missing.startswith("deploy/fleet/utility.yaml:1:")
    assert "Missing required API key `api_key` of utility-toolbox" in missing
    assert [one["name"] for one in value["secrets"]] == ["api_key", "spare_key"]


def test_who_has_a_secret_is_said_and_never_its_value(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder, and behind it in the shell's environment."""
    files.write(checkout / "mounted" / "api_key", VALUE)
    monkeypatch.setenv("SPARE_KEY", VALUE)
    for arguments in (["check"], ["check", "--json"]):
        done = told(*arguments)
        assert done.exit_code == 0, done.output
        assert f"folder {checkout / 'mounted'}" in done.output
        assert "environment" in done.output
        assert VALUE not in done.output


def test_a_rotation_goes_where_the_secret_is(checkout: Path) -> None:
    """Its file, for its owner alone; what nobody has is kept on this machine."""
    path = checkout / "mounted" / "api_key"
    files.write(path, "before-1234")
    done = told("rotate", "api_key", typed=f"{VALUE}\n")
    assert done.exit_code == 0, done.output
    assert VALUE not in done.output
    assert path.read_text() == VALUE
    assert path.stat().st_mode & 0o777 == 0o600
    done = told("rotate", "spare_key", "--json", typed=VALUE)
    assert json.loads(done.stdout)["where"] == "this machine, until ./tandem down"
    assert told("check").exit_code == 0
    assert "given by hand" in told("check").output


@pytest.mark.usefixtures("checkout")
def test_what_is_no_secret_of_the_plan_is_refused() -> None:
    """A wrong name with the nearest one, and a value that could not be hidden."""
    for arguments, typed, said in (
        (["rotate", "api_kee"], VALUE, "did you mean `api_key`"),
        (["rotate", "api_key"], "", "4 characters"),
        (["rotate", "api_key"], "abc\n", "4 characters"),
        (["rotate", "api_key"], "123456\n", "a number 8"),
        (["list"], "", "nothing runs here"),
    ):
        done = told(*arguments, typed=typed)
        assert isinstance(done.exception, Refusal), done.output
        assert said in done.exception.message


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize("typed", [b"no-\xff-text", b"x" * 70_000])
def test_a_new_value_that_no_agent_could_read_is_refused(typed: bytes) -> None:
    """Before the old one is gone; nothing of it is said."""
    done = CliRunner().invoke(secret, ["rotate", "api_key"], input=typed)
    assert isinstance(done.exception, Refusal)
    assert "nothing was changed" in done.exception.message
