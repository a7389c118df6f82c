"""The command line as its callers meet it: help, JSON, exit codes, and no traceback."""

import json
import sys
from io import StringIO

import click
import pytest

from tandemkit.cli import main as entry
from tandemkit.cli.summaries import SUMMARIES

COMMANDS = list(SUMMARIES)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["tandem", *arguments])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    return ended.value.code if isinstance(ended.value.code, int) else -1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person learns a command from its own help."""
    assert run(monkeypatch, name, "--help") == 0
    told = capsys.readouterr().out
    assert "Examples:" in told
    assert f"./tandem {name}" in told


# What stands on stdout of `mcp` is a protocol's.
@pytest.mark.parametrize("name", [one for one in COMMANDS if one != "mcp"])
def test_every_command_can_answer_in_json(name: str) -> None:
    """Programs are callers too; of a group, each of its commands."""
    command = entry.load(name)
    leaves = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    for leaf in leaves:
        assert any("--json" in option.opts for option in leaf.params), leaf.name


def test_the_list_says_what_each_command_says_of_itself() -> None:
    """The summaries that spare the imports do not drift from the commands."""
    assert {name: entry.load(name).short_help for name in COMMANDS} == SUMMARIES


def test_help_loads_no_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The start stays quick however much the commands import."""
    heavy = [name for name in sys.modules if name.startswith(("tandemkit.cli.doctor", "yaml"))]
    for name in heavy:
        monkeypatch.delitem(sys.modules, name)
    assert run(monkeypatch, "--help") == 0
    assert "Exit codes:" in capsys.readouterr().out
    assert "tandemkit.cli.doctor" not in sys.modules


def test_an_unknown_command_exits_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage is told apart from a no."""
    assert run(monkeypatch, "fly") == 2
    assert "No such command" in capsys.readouterr().err


def test_a_failure_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Outside a checkout the command says so, without a traceback."""
    monkeypatch.delenv("TANDEM_ROOT", raising=False)
    assert run(monkeypatch, "env") == 2
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.startswith("tandem: this command works on a checkout")
    assert caught.err.count("\n") == 1


def test_a_failure_is_json_where_json_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program that parses answers can parse refusals."""
    monkeypatch.delenv("TANDEM_ROOT", raising=False)
    assert run(monkeypatch, "env", "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 2


@pytest.mark.parametrize("command", ["ask", "chat"])
def test_what_is_no_utf_8_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """As a terminal of another character set sends it; a question alone is asked all the same."""
    wrong = b"caf\xe9".decode(errors="surrogateescape")
    monkeypatch.setattr(sys, "stdin", StringIO("hello\n"))
    words = ("-",) if command == "ask" else ()
    assert run(monkeypatch, command, *words, "--model", wrong, "--address", "127.0.0.1:1") == 2
    assert capsys.readouterr().err.startswith("tandem: what is given as text has to be UTF-8")


@pytest.mark.parametrize("command", [("ask", "-"), ("chat", "--address", "127.0.0.1:1")])
def test_a_stdin_that_is_closed_is_an_empty_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """A service starts programs so."""
    monkeypatch.setattr(sys, "stdin", None)
    assert run(monkeypatch, *command) in {0, 2}
    assert "Traceback" not in capsys.readouterr().err
