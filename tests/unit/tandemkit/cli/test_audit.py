"""`./tandem audit`, as a person and a program use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tandemkit.audit.checks import SUMMARIES
from tandemkit.cli.audit import audit
from tandemkit.cli.output import Refusal
from tests.unit.tandemkit.audit.looking import planted

# Put together here, or an audit of these tests would find it.
_KEY = "AKIA" + "Q3EGRZ7LW2XMOV5T"
_PLANTED = {
    "health-loop": "import time\ndef health_loop():\n    while True:\n        time.sleep(1)\n",
    "transport": "import zmq\n",
    "host": 'TWIN = "192.168.100.16:7220"\n',
    "spawn": "import threading\nthreading.Thread()\n",
    "secret": f'KEY = "{_KEY}"\n',
}


def _audit(*arguments: str | Path) -> Result:
    return CliRunner().invoke(
        audit, [str(one) for one in arguments], standalone_mode=False, catch_exceptions=True
    )


def _found(result: Result) -> list[dict[str, object]]:
    said: list[dict[str, object]] = json.loads(result.stdout)["findings"]
    return said


@pytest.mark.parametrize("name", _PLANTED)
def test_m038_a_planted_instance_of_each_fails_the_audit(tmp_path: Path, name: str) -> None:
    """Exit code 1, with the check, the file and the line; the clean file beside it is not named."""
    tree = planted(tmp_path, {"agent.py": _PLANTED[name], "clean.py": "x = 1\n"})
    result = _audit(tree, "--json")
    assert result.return_value == 1
    assert {(one["rule"], one["path"]) for one in _found(result)} == {(name, "agent.py")}


def test_every_check_has_a_planted_instance() -> None:
    """Or a check could sleep."""
    assert set(_PLANTED) == set(SUMMARIES)


def test_a_clean_tree_answers_yes(tmp_path: Path) -> None:
    """Exit code 0, and a count of nothing for each check."""
    result = _audit(planted(tmp_path, {"agent.py": "x = 1\n"}))
    assert result.return_value == 0
    assert all(f"{name}" in result.output for name in SUMMARIES)


def test_what_is_allowed_with_a_reason_is_not_told(tmp_path: Path) -> None:
    """By check and path, in the tree's own pyproject.toml."""
    allowed = """\
        [[tool.tandem.audit.allow]]
        check = "transport"
        paths = ["wire/"]
        why = "It is the wire."
        """
    files = {"pyproject.toml": allowed, "wire/a.py": "import zmq\n", "b.py": "import zmq\n"}
    result = _audit(planted(tmp_path, files), "--json")
    assert [one["path"] for one in _found(result)] == ["b.py"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('check = "transport"\npaths = ["a.py"]\n', "entry 1"),
        ('check = "transprot"\npaths = ["a.py"]\nwhy = "x"\n', "for no check"),
        ('check = "transport"\npaths = []\nwhy = "x"\n', "lacks a path"),
        ("check = \n", "cannot be read"),
    ],
)
def test_a_bad_allowance_is_refused(tmp_path: Path, entry: str, said: str) -> None:
    """One that says too little would allow more than somebody meant."""
    tree = planted(tmp_path, {"pyproject.toml": f"[[tool.tandem.audit.allow]]\n{entry}"})
    error = _audit(tree).exception
    assert isinstance(error, Refusal)
    assert said in error.message


def test_what_was_known_is_not_told_again(tmp_path: Path) -> None:
    """An earlier --json is the list; lines may move, and one more of the same is new."""
    tree = planted(tmp_path / "tree", {"agent.py": _PLANTED["spawn"]})
    known = tmp_path / "known.json"
    known.write_text(_audit(tree, "--json").stdout)
    planted(tree, {"agent.py": "\n\n" + _PLANTED["spawn"]})
    assert _audit(tree, "--known", known).return_value == 0
    planted(tree, {"agent.py": _PLANTED["spawn"] + "threading.Thread()\n"})
    result = _audit(tree, "--known", known, "--json")
    assert [one["line"] for one in _found(result)] == [3]


def test_a_report_is_a_list_for_each_check(tmp_path: Path) -> None:
    """The health loops under the name that migrations ask for."""
    tree = planted(tmp_path / "tree", {"agent.py": _PLANTED["health-loop"]})
    _audit(tree, "--report", tmp_path / "found")
    names = sorted(path.name for path in (tmp_path / "found").iterdir())
    assert names == [
        "custom_health_loops.txt",
        "hosts.txt",
        "secrets.txt",
        "spawns.txt",
        "transports.txt",
    ]
    listed = (tmp_path / "found" / "custom_health_loops.txt").read_text()
    assert listed.startswith("agent.py:3: `health_loop`")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """Python 2 is no reason to stop, and none to stay silent."""
    tree = planted(tmp_path, {"old.py": "print 'x'\n", "new.py": "import zmq\n"})
    said = json.loads(_audit(tree, "--json").stdout)
    assert [one["path"] for one in said["unread"]] == ["old.py"]
    assert [one["path"] for one in said["findings"]] == ["new.py"]


def test_renames_are_shown_and_then_written(tmp_path: Path) -> None:
    """A diff first; the files change with --write alone."""
    tree = planted(tmp_path, {"agent.py": "import common.zmq_pool as pool\n"})
    asked = (tree, "--rename", "common.zmq_pool=agents.pool")
    assert "+import agents.pool as pool" in _audit(*asked).output
    assert "common" in (tree / "agent.py").read_text()
    assert _audit(*asked, "--write").return_value == 0
    assert (tree / "agent.py").read_text() == "import agents.pool as pool\n"


def test_a_file_of_another_encoding_is_left_as_it_is(tmp_path: Path) -> None:
    """It is named for a person; its letters are still there."""
    content = "# coding: latin-1\nimport common.pools  # K\u00e4fer\n".encode("latin-1")
    (tmp_path / "old.py").write_bytes(content)
    said = _audit(tmp_path, "--rename", "common.pools=agents.pools", "--write")
    assert said.return_value == 1
    assert "old.py:1: the file is no UTF-8" in said.output
    assert (tmp_path / "old.py").read_bytes() == content
