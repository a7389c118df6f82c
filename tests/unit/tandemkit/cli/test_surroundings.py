"""`tandem env`: what it prints is what a shell, a program or a client can use."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tandem.control.v1.machine_pb2 import WantedMachine
from tandemkit.cli import shells
from tandemkit.cli.output import Refusal
from tandemkit.cli.surroundings import env
from tandemkit.core.names import INFERENCE
from tandemkit.machine.home import Home
from tandemkit.mesh.bootstrap import FILE_VARIABLE, VARIABLE

ODD = """it's a "test" of \\ and $HOME, `id` and more"""


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path))
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path))
    monkeypatch.delenv(FILE_VARIABLE, raising=False)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(env, arguments)


def evaluated(script: str, variable: str, **before: str) -> str:
    """The variable, once a shell has evaluated the script."""
    text = f'eval "$SCRIPT"; printf %s "${{{variable}-unset}}"'
    known = {"SCRIPT": script, "PATH": os.defpath, **before}
    done = subprocess.run(("sh", "-c", text), env=known, capture_output=True, text=True, check=True)
    return done.stdout


def test_a_shell_evaluates_it_to_the_bootstrap() -> None:
    """Every control in order, and where the client is."""
    done = invoke("--address", "10.0.0.1:8200,10.0.0.2:8200", "--machine", "pc2", "--node", "me")
    told = json.loads(evaluated(done.stdout, VARIABLE))
    uris = [server["server_uri"] for server in told["xds_servers"]]
    assert uris == ["10.0.0.1:8200", "10.0.0.2:8200"]
    assert (told["node"]["id"], told["node"]["locality"]) == ("me", {"zone": "pc2"})


def test_it_says_where_models_are_asked_without_xds(tmp_path: Path) -> None:
    """The port that the host has, which need not be the one that was planned."""
    home = Home(tmp_path)
    assert invoke("kserve").output == "\n"
    home.prepare()
    wanted = WantedMachine(machine="pc2", listen="10.0.0.2")
    for name in ("mainpc", "pc2"):
        machine = wanted.plan.machines.add(name=name, address=name)
        for host, service in (("control", "tandem.control.v1.RegistryService"), ("g", INFERENCE)):
            machine.hosts.add(name=host, grpc_port=8001 + len(machine.hosts)).agents.add(
                service=service
            )
    home.want(wanted)
    assert invoke("kserve").output == "10.0.0.2:8002\n"
    wanted.listen = ""
    home.want(wanted)
    assert invoke("kserve").output == "pc2:8002\n"


def test_it_names_the_fleet_that_was_started_with_this_home(tmp_path: Path) -> None:
    """Without being told its address; where none was, the one that `up` takes by default."""
    home = Home(tmp_path)
    home.note("laptop", ["127.0.0.1:9"], "127.0.0.1:10")
    assert invoke("controls").output == "127.0.0.1:9\n"
    home.prepare()
    home.forget()
    assert invoke("controls").output == "127.0.0.1:8200\n"
    (tmp_path / "running.json").write_text("")
    assert invoke("controls").output == "127.0.0.1:8200\n"


def test_it_says_on_stderr_when_nobody_answers(tmp_path: Path) -> None:
    """And prints what will be right once somebody does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        assert invoke("--address", f"127.0.0.1:1,{address}").stderr == ""
    silent = invoke("--address", address)
    assert f"nobody answers at {address}" in silent.stderr
    assert silent.exit_code == 0
    assert silent.stdout.startswith(f"export {VARIABLE}=")


def test_a_file_is_written_and_named(tmp_path: Path) -> None:
    """For clients that take a file; a later call without one takes the name away again."""
    path = tmp_path / "bootstrap file.json"
    done = invoke("--file", str(path))
    assert evaluated(done.stdout, FILE_VARIABLE) == str(path)
    assert json.loads(path.read_text())["xds_servers"]


def test_a_file_named_before_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients would prefer it."""
    monkeypatch.setenv(FILE_VARIABLE, "old")
    script = invoke().stdout
    assert evaluated(script, FILE_VARIABLE, **{FILE_VARIABLE: "old"}) == "unset"
    assert evaluated(script, VARIABLE).startswith("{")


def test_json_has_every_value_and_a_name_just_one() -> None:
    """What the command itself uses is there too."""
    value = json.loads(invoke("--json").stdout)
    assert {"controls", "machine", "node", "bootstrap", "python", "home", "tools"} <= value.keys()
    assert invoke("python").output.strip() == value["python"]
    unknown = invoke("nothing")
    assert isinstance(unknown.exception, Refusal)
    assert "no value 'nothing'" in unknown.exception.message


def test_a_posix_shell_gets_back_what_was_said() -> None:
    """Whatever stands in a value, nothing of it is evaluated."""
    assert evaluated(shells.lines("sh", {"X": ODD}), "X") == ODD
    assert evaluated(shells.lines("sh", {"X": None}), "X", X="old") == "unset"


@pytest.mark.parametrize(
    ("shell", "set_to", "taken_away"),
    [
        ("fish", r"set -gx X 'it\'s {\"a\"}';", "set -e X;"),
        ("powershell", """$env:X = 'it''s {"a"}'""", "Remove-Item Env:X"),
        ("cmd", """set "X=it's {"a"}\"""", 'set "X="'),
    ],
)
def test_other_shells_are_told_in_their_own_words(shell: str, set_to: str, taken_away: str) -> None:
    """By the quoting rules of each."""
    assert shells.lines(shell, {"X": 'it\'s {"a"}', "Y": None}).splitlines() == [
        set_to.replace('\\"', '"'),
        taken_away.replace("X", "Y"),
    ]
