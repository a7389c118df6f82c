"""What is slow to build is built once, and only for those who ask; a hand-written `go` stands in
for the real one.
"""

import io
from pathlib import Path

import pytest

from tandemkit.cli import slow_tools
from tandemkit.cli.parts import BY_NAME, find
from tandemkit.cli.steps import StepFailure, Steps
from tandemkit.core.environment import Environment

GO = """#!/bin/sh
case "$*" in
  version) echo "go version go1.26.0 linux/amd64" ;;
  "list -m"*) echo "$HOME/miniaudio" ;;
  build*)
    echo "$CGO_CXXFLAGS $*" >> "$HOME/builds"
    while [ "$1" != -o ]; do shift; done
    mkdir -p "${2%/*}" && echo "#!/bin/sh" > "$2" && chmod 755 "$2"
    ;;
esac
"""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A checkout with pins, a home, and Go on PATH."""
    pins = tmp_path / "tools" / "ollama"
    pins.mkdir(parents=True)
    (pins / "go.mod").write_text("require github.com/ollama/ollama v1.2.3 // indirect\n")
    (pins / "go.sum").write_text("one\n")
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(GO)
    go.chmod(0o755)
    (tmp_path / "miniaudio").mkdir()
    (tmp_path / "miniaudio" / "miniaudio.h").touch()
    path = f"{go.parent}:/usr/bin:/bin"
    found = Environment.read(
        {"HOME": str(tmp_path), "PATH": path, "TANDEM_ROOT": str(tmp_path)},
    )
    found.cache.mkdir(parents=True)
    return found


async def obtain(environment: Environment) -> Path:
    return await slow_tools.obtain(environment, Steps(io.StringIO(), environment.cache))


async def test_ollama_is_built_once_and_found(environment: Environment, tmp_path: Path) -> None:
    """In its pinned version, with the header that its module lacks; then there is nothing to do."""
    assert find(BY_NAME["ollama"], environment) is None
    program = await obtain(environment)
    assert await obtain(environment) == program
    assert find(BY_NAME["ollama"], environment) == {"ollama": program}
    (build,) = (tmp_path / "builds").read_text().splitlines()
    assert "version.Version=1.2.3" in build
    assert "/include" in build.split()[1]
    assert slow_tools.missing_headers(tmp_path, environment) == []


async def test_new_pins_are_a_new_build(environment: Environment, tmp_path: Path) -> None:
    """A build is named after what it was made from."""
    before = await obtain(environment)
    (tmp_path / "tools" / "ollama" / "go.sum").write_text("two\n")
    assert not slow_tools.is_built(tmp_path, environment)
    assert await obtain(environment) != before


async def test_a_failed_build_leaves_nothing(environment: Environment, tmp_path: Path) -> None:
    """Half a build is never taken for a whole one."""
    (tmp_path / "bin" / "go").write_text(GO.replace("mkdir", "false && mkdir"))
    with pytest.raises(StepFailure):
        await obtain(environment)
    assert find(BY_NAME["ollama"], environment) is None
