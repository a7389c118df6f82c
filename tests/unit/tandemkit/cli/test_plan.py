"""`./tandem plan`: what would run where, or all that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from google.protobuf import json_format

from tandem.fleet.v1 import plan_pb2 as pb
from tandemkit.cli.output import Refusal
from tandemkit.cli.plan import plan, screen, value_of
from tests.unit.tandemkit.fleet.planted import FILES, Planted

# No agent of it has a stanza, as its code is not to be imported here.
_NO_STANZAS = {path: text for path, text in FILES.items() if path.count("/") != 1}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with layout, profiles and ports, which the command takes for its own."""
    for path, text in _NO_STANZAS.items():
        place = tmp_path / "deploy" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path))
    return tmp_path


def test_the_screen_says_who_is_where_and_when() -> None:
    """Machine, host, agent, ports, memory, GPU, cores and layer, and what is worth a remark."""
    said = screen(Planted().plan())
    for row in (
        "big (big): 4 cores, 2048 MiB",
        "gpu0: 80 % of 90 %",
        "look                       look     8201  9102  80   standard        gpu0 80 %  all    1",
        "text-tell                              50   standard        -          0-1    2",
        "1      look text text-2  look-draw look-see text-guard text-sum",
    ):
        assert row in said


def test_a_program_reads_the_same_plan_as_json() -> None:
    """All fields by their names in the schema; what is read back is the plan."""
    found = Planted().plan()
    value = json.loads(json.dumps(value_of(found)))
    host = value["machines"][0]["hosts"][0]
    assert (host["name"], host["grpc_port"], host["gpu"]) == ("control", 8200, "")
    assert json_format.ParseDict(value, pb.Plan()) == found


@pytest.mark.usefixtures("checkout")
def test_every_mistake_is_told_with_its_file() -> None:
    """Paths are those of the checkout, as an editor opens them."""
    done = CliRunner().invoke(plan, ["--profile", "alone"])
    assert isinstance(done.exception, Refusal)
    assert done.exception.exit_code == 1
    first, *_ = done.exception.message.splitlines()
    assert first.startswith("deploy/fleet/profiles/alone.yaml:5:3: `groups`: no host could ")


def test_m020_a_duplicate_port_is_refused_by_the_command(checkout: Path) -> None:
    """Nothing starts on a list that gives one port to two: the plan is not made."""
    path = checkout / "deploy" / "ports.yaml"
    path.write_text(path.read_text("utf-8").replace("port: 10010", "port: 8200"), "utf-8")
    done = CliRunner().invoke(plan, ["--profile", "alone"])
    assert isinstance(done.exception, Refusal)
    assert done.exception.exit_code == 1
    said = "deploy/ports.yaml:13:11: `fixed[1].port`: 8200 is the port of `control` already"
    assert any(line.startswith(said) for line in done.exception.message.splitlines())


@pytest.mark.usefixtures("checkout")
def test_an_unknown_profile_is_a_wrong_usage() -> None:
    """With the one that is near."""
    done = CliRunner().invoke(plan, ["--profile", "alon"])
    assert isinstance(done.exception, Refusal)
    assert done.exception.exit_code == 2
    assert done.exception.message == "there is no profile `alon`; did you mean `alone`?"


def test_a_checkout_without_ports_says_so(checkout: Path) -> None:
    """One sentence, with the path."""
    (checkout / "deploy" / "ports.yaml").unlink()
    done = CliRunner().invoke(plan, [])
    assert isinstance(done.exception, OSError)
    assert "ports.yaml" in str(done.exception)
