"""`tandem token`, and what other commands say where the token cannot be used."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tandemkit.cli.output import Refusal
from tandemkit.cli.surroundings import env
from tandemkit.cli.token import token
from tandemkit.core.caller_key import is_signed, read
from tandemkit.core.clock import SystemClock
from tandemkit.core.token import FILE_NAME, FILE_VARIABLE, Token
from tandemkit.hosting.vouching import HEADER, key_beside, shown_in


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TANDEM_HOME", str(tmp_path))
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path))
    return tmp_path / FILE_NAME


def run(*arguments: str) -> Result:
    return CliRunner().invoke(token, arguments)


def test_it_says_where_the_token_is_and_prints_it_only_when_asked(path: Path) -> None:
    """Somebody may look over a shoulder, or record the terminal."""
    text = Token.kept(path).bearer.split()[1]
    told = run()
    assert str(path) in told.output
    assert text not in told.output + run("--json").output
    assert run("--show").output == f"{text}\n"
    assert json.loads(run("--show", "--json").output)["token"] == text


def test_a_new_one_leaves_the_one_before_its_time(path: Path) -> None:
    """Which the command says."""
    before = Token.kept(path).bearer
    told = run("rotate", "--grace-s", "30")
    assert "for 30 s" in told.output
    known = Token(path)
    assert known.bearer != before
    assert known.opens(before)
    assert json.loads(run("rotate", "--grace-s", "0", "--json").output)["grace_s"] == 0
    assert not known.opens(before)


def test_without_one_it_says_who_makes_it() -> None:
    """It makes none itself: a question changes nothing."""
    failed = run().exception
    assert isinstance(failed, Refusal)
    assert "./tandem up makes one" in failed.message


def test_one_that_others_can_read_is_told_of(path: Path) -> None:
    """By every command, before it shows it to anybody."""
    Token.kept(path)
    path.chmod(0o644)
    failed = run().exception
    assert isinstance(failed, Refusal)
    assert "chmod 600" in failed.message


def test_a_credential_is_for_one_host_and_its_agents(path: Path) -> None:
    """As control reads it."""
    told = run("host", "pc2-text", "tandem.text.v1.SummarizeService", "--days", "1")
    wire = base64.b64decode(told.output)
    key = key_beside(Token(path))
    said = shown_in(((HEADER, wire),), key, SystemClock().now())
    assert (said.host, list(said.services)) == (
        "hosts/pc2-text",
        ["tandem.text.v1.SummarizeService"],
    )


def test_env_names_the_file_and_holds_no_token(path: Path) -> None:
    """For clients that know nothing of homes."""
    text = Token.kept(path).bearer.split()[1]
    told = CliRunner().invoke(env, []).output
    assert f"{FILE_VARIABLE}='{path}'" in told or f"{FILE_VARIABLE}={path}" in told
    assert text not in told


def test_a_key_for_a_caller_is_signed_with_the_token(path: Path) -> None:
    """With a name and an end, and nothing else that anybody would have to keep."""
    told = json.loads(run("for", "ada", "--days", "2", "--json").output)
    key = read(told["key"])
    assert key is not None
    assert (key.name, key.expires_s - key.issued_s) == ("ada", 2 * 86_400)
    assert is_signed(told["key"], Token(path))
    assert told["caller"] == "callers/ada"
    assert run("for", "ada").output.startswith("tandem-key.ada.")


def test_a_key_for_no_name_is_refused(path: Path) -> None:
    """In words."""
    assert not path.exists()
    failed = run("for", "Ada Lovelace").exception
    assert isinstance(failed, Refusal)
    assert "lower-case letters" in failed.message
