"""`./tandem clients` as a person runs it; but for Go no toolchain is needed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tandemkit.cli.clients.package import MARK
from tests.interop.building import TANDEM, environment

FILES = {
    "node": {"package.json", ".npmrc", "src/index.ts", "protos/index.proto", "example.js"},
    "java": {"pom.xml", "src/main/java/tandem/Fleet.java", "src/main/java/tandem/Example.java"},
    "rust": {"Cargo.toml", "build.rs", "src/lib.rs", "contracts.binpb", "examples/call.rs"},
}


def clients(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Its exit code and what it said as JSON, without any toolchain on PATH."""
    known = {**environment(), "PATH": str(tmp_path), "HOME": str(tmp_path)}
    known["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    argv = (*TANDEM, "clients", *arguments, "--json")
    done = subprocess.run(argv, env=known, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("language", list(FILES))
def test_a_package_has_its_files_and_no_address(tmp_path: Path, language: str) -> None:
    """Whole, without field rules, and where its parts come from is left to who builds it."""
    folder = tmp_path / "package"
    status, told = clients(tmp_path, language, str(folder))
    assert status == 0
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written >= {*FILES[language], "README.md", MARK}
    assert "tandem.utility.v1.ToolboxService" in told["services"]
    manifest = next(
        folder / name for name in FILES[language] if name.endswith((".json", ".toml", ".xml"))
    )
    assert "://" not in manifest.read_text()
    for path in folder.rglob("*"):
        if path.is_file():
            assert b"buf.validate" not in path.read_bytes(), path
            assert b"@@" not in path.read_bytes(), path


def test_only_the_agents_that_were_asked_for_are_in_it(tmp_path: Path) -> None:
    """A package written again loses what it no longer needs, and keeps what a build put there."""
    folder = tmp_path / "package"
    clients(tmp_path, "node", str(folder))
    (folder / "dist").mkdir()
    status, told = clients(tmp_path, "node", str(folder), "--services", "utility-files")
    assert (status, told["services"]) == (0, ["tandem.utility.v1.FilesService"])
    assert "protos/tandem/utility/v1/toolbox_service.proto" in told["removed"]
    assert (folder / "dist").exists()
    status, told = clients(tmp_path, "node", str(folder), "--services", "utility-files")
    assert (told["changed"], told["removed"]) == ([], [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("go", "DIR"), "Go is not on PATH; install Go 1.25 or newer"),
        (("rust", "DIR", "--services", "utility-tolbox"), "did you mean utility-toolbox"),
        (("rust", "DIR", "--name", "No Name"), "'No Name' is no name for a package of rust"),
        (("cobol", "DIR"), "'cobol' is not one of"),
        (("java", "."), "is not empty"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    """With the exit code of everything that cannot be done as asked, and nothing is written."""
    folder = tmp_path / "package"
    (tmp_path / "mine").touch()
    named = {"DIR": str(folder), ".": str(tmp_path)}
    status, told = clients(tmp_path, *(named.get(one, one) for one in arguments))
    assert status == 2
    assert said in told["error"]["message"]
    assert not folder.exists()
