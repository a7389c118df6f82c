"""The doctor's no is about what is required, and each missing thing comes with a remedy."""

from pathlib import Path

import pytest

from tandemkit.cli.doctor import examine
from tandemkit.cli.output import Refusal
from tandemkit.cli.parts import PARTS
from tandemkit.cli.setup import missing_packages, plan
from tandemkit.cli.tools import folder_of
from tandemkit.core.environment import Environment


def bare(folder: Path, **variables: str) -> Environment:
    """A checkout on a machine that has nothing."""
    (folder / "pins.txt").write_text("buf-bin==1.0 \\\n    --hash=sha256:aa\n")
    found = {"HOME": str(folder), "PATH": str(folder), "TANDEM_ROOT": str(folder)}
    return Environment.read({**found, **variables})


def states(environment: Environment) -> dict[str, tuple[str, bool]]:
    return {found.name: (found.state, found.required) for found in examine(environment)}


def test_a_bare_machine_lacks_python_39_and_that_is_required(tmp_path: Path) -> None:
    """Without it the tests cannot run at all."""
    assert states(bare(tmp_path))["python 3.9"] == ("missing", True)


def test_parts_that_a_package_carries_are_not_called_missing(tmp_path: Path) -> None:
    """The test command fetches them: nobody has to do anything."""
    found = {one.name: one for one in examine(bare(tmp_path))}
    assert all(found[part.name].state != "missing" for part in PARTS if part.source == "package")


def test_all_that_is_missing_has_a_remedy(tmp_path: Path) -> None:
    """The answer to `what now` stands in the same line."""
    missing = [one for one in examine(bare(tmp_path)) if one.state == "missing"]
    assert {one.name for one in missing} >= {"python 3.9", "go", "consul", "grpcurl"}
    assert all(one.how_to_get in one.row[-1] for one in missing)
    assert all(one.how_to_get for one in missing)


def test_outside_a_checkout_there_is_no_answer(tmp_path: Path) -> None:
    """A packaged agent has nothing to examine."""
    with pytest.raises(Refusal, match="checkout"):
        examine(Environment.read({"HOME": str(tmp_path)}))


def test_services_do_not_start_by_being_installed(tmp_path: Path) -> None:
    """The policy that forbids it stands before the installation and is lifted after it."""
    first, *_, install, last = plan(["prometheus"], tmp_path / "policy")
    assert first[-1] == last[-1] == "/usr/sbin/policy-rc.d"
    assert (first[0], last[0]) == ("install", "rm")
    assert install[-1] == "prometheus"


def test_only_debian_parts_are_installed_by_apt() -> None:
    """What a package or a build provides is not asked of Debian."""
    nothing = Environment.read({"PATH": "/nonexistent"})
    debian = {package for p in PARTS if p.source == "debian" for package in p.provider.split()}
    assert set(missing_packages(nothing)) <= debian


def test_tools_are_built_again_when_their_pins_change(tmp_path: Path) -> None:
    """A build is named after what it was made from."""
    environment = bare(tmp_path)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "go.mod").write_text("module tools\n")
    (tmp_path / "tools" / "go.sum").write_text("one\n")
    before = folder_of(tmp_path, environment)
    (tmp_path / "tools" / "go.sum").write_text("two\n")
    assert folder_of(tmp_path, environment) != before
