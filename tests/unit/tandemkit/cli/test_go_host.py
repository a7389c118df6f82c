"""What decides whether the Go host is built anew. tests/polyglot builds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandemkit.cli import go_host

MAIN = """\
package main

import kit "tandem/polyglot/stubs/tandem/kit/v1"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout whose program imports one contract, which imports another."""
    write(tmp_path, "services/polyglot/go/main.go", MAIN)
    write(tmp_path, "protos/tandem/kit/v1/host.proto", 'import "tandem/type/v1/error.proto";\n')
    write(tmp_path, "protos/tandem/kit/v1/beside.proto", "")
    write(tmp_path, "protos/tandem/type/v1/error.proto", "")
    write(tmp_path, "protos/tandem/other/v1/other.proto", "")
    return tmp_path


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_the_contracts_are_those_that_the_sources_import_and_what_those_do(root: Path) -> None:
    """A package of Go is a whole folder; a contract that nobody imports changes nothing."""
    before = go_host.digest_of(root)
    assert sorted(go_host.contracts_of(root)) == [
        "tandem/kit/v1/beside.proto",
        "tandem/kit/v1/host.proto",
        "tandem/type/v1/error.proto",
    ]
    write(root, "protos/tandem/other/v1/other.proto", "// other\n")
    assert go_host.digest_of(root) == before
    write(root, "protos/tandem/type/v1/error.proto", "// other\n")
    assert go_host.digest_of(root) != before


def test_stubs_beside_the_sources_are_none_of_them(root: Path) -> None:
    """A developer's editor wants them there."""
    before = go_host.digest_of(root)
    write(root, "services/polyglot/go/stubs/tandem/kit/v1/host.pb.go", "package kitv1\n")
    assert go_host.digest_of(root) == before
    write(root, "services/polyglot/go/more.go", "package main\n")
    assert go_host.digest_of(root) != before
