"""Tools are built once, whole or not at all; a hand-written `go` stands in for the real one."""

import io
from pathlib import Path

import pytest

from tandemkit.cli.output import Refusal
from tandemkit.cli.setup import for_tests
from tandemkit.cli.steps import StepFailure, Steps
from tandemkit.cli.tools import Tools, obtain
from tandemkit.core.environment import Environment

# Called as: go version; go list ... tool; go build -v ... -o FOLDER tool.
GO = """#!/bin/sh
case "$1" in
  version) echo "go version go1.26.0 linux/amd64" ;;
  list) printf 'a\\nb\\n' ;;
  build)
    echo build >> "$HOME/builds"
    while [ "$1" != -o ]; do shift; done
    mkdir -p "$2" && touch "$2/consul" && {after} && touch "$2/grpcurl"
    ;;
esac
"""


class Machine:
    """A checkout with pins for tools, a home, and what is on PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tools").mkdir()
        (folder / "tools" / "go.mod").write_text("require github.com/hashicorp/consul v1.22.3\n")
        (folder / "tools" / "go.sum").write_text("")
        self.path = f"{folder / 'bin'}:/usr/bin:/bin"
        variables = {"HOME": str(folder), "PATH": self.path, "TANDEM_ROOT": str(folder)}
        self.environment = Environment.read(variables)
        self.environment.cache.mkdir(parents=True)

    def has(self, program: str, script: str) -> None:
        path = self.folder / "bin" / program
        path.parent.mkdir(exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)

    async def obtain(self) -> Tools:
        return await obtain(self.environment, Steps(io.StringIO(), self.environment.cache))

    def builds(self) -> int:
        noted = self.folder / "builds"
        return len(noted.read_text().splitlines()) if noted.exists() else 0

    def left(self) -> list[str]:
        return [path.name for path in self.environment.tools.glob("*") if path.is_dir()]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def test_tools_are_built_once(machine: Machine) -> None:
    """The second time there is nothing to do."""
    machine.has("go", GO.replace("{after}", "true"))
    first, second = await machine.obtain(), await machine.obtain()
    assert (first.built, second.built) == (True, False)
    assert first.programs == second.programs
    assert all(path.exists() for path in first.programs.values())
    assert machine.builds() == 1


async def test_a_failed_build_leaves_nothing(machine: Machine) -> None:
    """Half a build is never taken for a whole one, and the next run starts afresh."""
    machine.has("go", GO.replace("{after}", "{ echo 'undefined: x'; exit 1; }"))
    with pytest.raises(StepFailure) as failed:
        await machine.obtain()
    assert failed.value.reason == "undefined: x"
    assert machine.left() == []
    machine.has("go", GO.replace("{after}", "true"))
    assert (await machine.obtain()).built


async def test_those_on_path_are_used_where_the_version_is_the_pinned_one(
    machine: Machine,
) -> None:
    """Nobody waits for a build of what is there."""
    machine.has("consul", "#!/bin/sh\necho Consul v1.22.9\n")
    machine.has("grpcurl", "#!/bin/sh\n")
    found = await machine.obtain()
    assert not found.built
    assert found.programs["consul"] == machine.folder / "bin" / "consul"


async def test_another_version_on_path_is_not_used(machine: Machine) -> None:
    """Tests run against what is pinned."""
    machine.has("consul", "#!/bin/sh\necho Consul v1.17.0\n")
    machine.has("grpcurl", "#!/bin/sh\n")
    machine.has("go", GO.replace("{after}", "true"))
    assert (await machine.obtain()).built


@pytest.mark.parametrize("said", ["go version go1.19.8 linux/amd64", "gccgo"])
async def test_an_old_go_is_refused_before_it_fails(machine: Machine, said: str) -> None:
    """Debian's own Go would fail on the first line of go.mod."""
    machine.has("go", f"#!/bin/sh\necho {said}\n")
    with pytest.raises(Refusal, match="too old"):
        await machine.obtain()


async def test_without_go_it_says_what_to_install(machine: Machine) -> None:
    """One sentence."""
    bare = Environment.read({**machine.environment.variables, "PATH": str(machine.folder)})
    with pytest.raises(Refusal, match="install Go"):
        await obtain(bare, Steps(io.StringIO(), bare.cache))


def test_setup_has_a_dry_run() -> None:
    """Whoever is asked for root may see first what for."""
    assert any("--dry-run" in option.opts for option in for_tests.params)
