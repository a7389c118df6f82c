"""The files that say what is installed agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import derived_lock
from tests.repo.checkout import root
from tools import pins

_SECTION = re.compile(r"^# --- ([a-z]+): .*\n((?:(?!# --- ).*\n)*)", re.MULTILINE)


@pytest.fixture(scope="module")
def sections() -> dict[str, dict[str, str]]:
    """Section to package to version, as pins.txt has them."""
    text = (root() / "pins.txt").read_text()
    found: dict[str, dict[str, str]] = {}
    for section, block in _SECTION.findall(text):
        lines = [
            Requirement(pin.split(" \\", 1)[0])
            for pin in pins.pins_of(block.strip() + "\n").values()
        ]
        found[section] = {str(canonicalize_name(r.name)): str(r.specifier)[2:] for r in lines}
    return found


def _pyproject() -> dict[str, list[str]]:
    return pins.requirements_of(tomllib.loads((root() / "pyproject.toml").read_text()))


@pytest.mark.parametrize("section", pins.SECTIONS)
def test_every_requirement_is_pinned_in_its_section(
    sections: dict[str, dict[str, str]], section: str
) -> None:
    """What pyproject.toml asks for stands in pins.txt, at a version that it allows: there, or
    before, where an earlier section needs it too.
    """
    before = list(pins.SECTIONS)[: list(pins.SECTIONS).index(section) + 1]
    pinned = {name: version for one in before for name, version in sections[one].items()}
    for line in _pyproject()[section]:
        wanted = Requirement(line)
        version = pinned.get(canonicalize_name(wanted.name))
        assert version, f"{line} is not pinned: run `./tandem pin`"
        assert wanted.specifier.contains(version), (
            f"{line}: {version} is pinned: run `./tandem pin`"
        )


@pytest.mark.parametrize(
    "path",
    [
        "pins.txt",
        "pins-chroma.txt",
        "pins-llama-cpp.txt",
        "pins-openai.txt",
        "pins-mcp.txt",
        "pins-schemathesis.txt",
        "pins-tritonclient.txt",
        "build-support/pants-pins.txt",
    ],
)
def test_pins_hold_hashes_and_no_address(path: str) -> None:
    """Whoever installs from the pins decides where from, and gets what was pinned or nothing."""
    text = (root() / path).read_text()
    assert "://" not in text
    assert derived_lock.pinned(text)
    assert all(derived_lock.pinned(text).values())


def test_torch_is_not_pinned(sections: dict[str, dict[str, str]]) -> None:
    """Several gigabytes come from the machine and never by way of the pins."""
    assert "torch" not in {name for section in sections.values() for name in section}


def test_pants_is_pinned_at_the_version_that_it_runs_at() -> None:
    """What ./pants installs is what pants.toml asks for."""
    version = _settings(root())["GLOBAL"]["pants_version"]
    text = (root() / "build-support" / "pants-pins.txt").read_text()
    assert f"pantsbuild-pants=={version} " in text


def test_the_lock_is_derived_where_pants_looks_for_it() -> None:
    """Pants has one resolve, and ./pants leaves its lock there."""
    assert list(_settings(root())["python"]["resolves"].values()) == [derived_lock.LOCK]


def _settings(repository: Path) -> dict[str, dict[str, dict[str, str]]]:
    return tomllib.loads((repository / "pants.toml").read_text())


def test_a_go_client_has_the_versions_of_the_tools() -> None:
    """What both need is compiled once, and one set of versions is looked after."""
    tools, client = (
        dict(re.findall(r"^\s+(\S+) (v\S+)", (root() / path).read_text(), re.MULTILINE))
        for path in ("tools/go.mod", "libs/tandemkit/cli/clients/templates/go/go.mod")
    )
    assert {name: tools.get(name, version) for name, version in client.items()} == client
    assert "google.golang.org/grpc" in tools
