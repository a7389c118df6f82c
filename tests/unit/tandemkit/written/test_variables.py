"""Variables in the nodes of a file, and the file of variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.fleet.v1.profile_pb2 import Profile
from tandemkit.core.secret import looks_secret
from tandemkit.written import dotenv
from tandemkit.written.marked import Reader, read
from tandemkit.written.variables import Variables


def profile(text: str, **environment: str) -> tuple[Profile, list[str]]:
    reader = Reader("one.yaml", Variables(environment))
    entry = read(reader, Profile(), text)
    return entry.fields, [str(one) for one in reader.mistakes]


TEXT = """\
name: {name}
machines: [one]
replicas_max: {number}
groups:
  - {{group: a, machines: &where [{quoted}]}}
  - {{group: b, machines: *where}}
"""


def test_what_was_quoted_stays_text() -> None:
    """And what was not is a number if it looks like one; an alias is put in once."""
    text = TEXT.format(name="lab-${N}", number="${N}", quoted='"${N}"')
    found, mistakes = profile(text, N="12")
    assert mistakes == []
    assert (found.name, found.replicas_max) == ("lab-12", 12)
    assert [list(one.machines) for one in found.groups] == [["12"], ["12"]]


def test_what_is_put_in_is_data() -> None:
    """No YAML, and nothing to expand again."""
    text = TEXT.format(name="one", number="1", quoted='"${N}"')
    found, mistakes = profile(text, N="a, b: [${N}] #")
    assert mistakes == []
    assert list(found.groups[0].machines) == ["a, b: [${N}] #"]


def test_a_dollar_is_written_twice() -> None:
    """A single one is a mistake with its place, not a guess."""
    text = TEXT.format(name="one", number="1", quoted='"$${N} $$5"')
    assert list(profile(text)[0].groups[0].machines) == ["${N} $5"]
    text = TEXT.format(name="one", number="1", quoted='"$5"')
    assert profile(text)[1] == ["one.yaml:5:34: a lone `$`: write `$$` for a dollar"]


def test_an_unused_default_needs_nothing() -> None:
    """What would stand behind `:-` may be missing where it does not hold."""
    variables = Variables({"A": "one"})
    reader = Reader("one.yaml", variables)
    read(reader, Profile(), TEXT.format(name="${A:-${B}}", number="1", quoted="x"))
    assert [use.name for use in variables.uses] == ["A"]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("OPENAI_API_KEY", True),
        ("VAULT_TOKEN", True),
        ("PGPASSWORD", True),
        ("DB_PASSWORD", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("VAULT_SECRET_ID", True),
        ("TANDEM_TOKEN_FILE", False),
        ("SSH_AUTH_SOCK", False),
        ("KEYBOARD", False),
        ("TOKENIZERS_PARALLELISM", False),
    ],
)
def test_variables_that_hold_secrets_are_known_by_their_names(name: str, is_one: bool) -> None:
    """Those of the field; a file that holds one is none."""
    assert looks_secret(name) is is_one


def test_a_file_of_variables_is_read_as_people_write_it(tmp_path: Path) -> None:
    """With comments, quotes and `export`; nothing in it is expanded."""
    path = tmp_path / dotenv.NAME
    path.write_text(
        "# ours\n\nA=1\nexport B = two words # why\nC='three # $A'\nD=\"x\"\nE=\nF=a#b\n"
    )
    path.chmod(0o600)
    assert dotenv.read(path) == {
        "A": "1",
        "B": "two words",
        "C": "three # $A",
        "D": "x",
        "E": "",
        "F": "a#b",
    }
    assert dotenv.read(tmp_path / "none") == {}


def test_a_file_of_variables_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    """A line that is none is named by its number, for it may hold a key."""
    path = tmp_path / dotenv.NAME
    path.write_text("A=1\nsk-12345678\n")
    path.chmod(0o644)
    with pytest.raises(dotenv.BadDotenv, match="chmod 600"):
        dotenv.read(path)
    path.chmod(0o600)
    with pytest.raises(dotenv.BadDotenv, match=r"\.env:2:1: a line is") as told:
        dotenv.read(path)
    assert "12345678" not in str(told.value)
