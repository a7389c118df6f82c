"""What `./tandem` keys its environment and stubs by."""

from pathlib import Path

import pytest

from launch import READY, Places, installed_pins, places
from tandemkit.core.environment import Environment

PINS = (
    "# --- run\nclick==8 \\\n    --hash=sha256:aa\n# --- test\npytest==9 \\\n    --hash=sha256:bb\n"
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "protos").mkdir()
    (tmp_path / "tools").mkdir()
    (tmp_path / "pins.txt").write_text(PINS)
    (tmp_path / "tools" / "stubs.py").write_text("")
    (tmp_path / "protos" / "a.proto").write_text("// a")
    return tmp_path


def found(root: Path) -> Places:
    return places(root, Environment.read({"HOME": str(root)}))


def test_a_proto_changes_the_stubs_and_not_the_environment(checkout: Path) -> None:
    """Nothing is installed again for an edited contract."""
    before = found(checkout)
    (checkout / "protos" / "a.proto").write_text("// b")
    after = found(checkout)
    assert after.environment == before.environment
    assert after.stubs != before.stubs


def test_a_renamed_proto_changes_the_stubs(checkout: Path) -> None:
    """The path of a contract is its import path."""
    before = found(checkout)
    (checkout / "protos" / "a.proto").rename(checkout / "protos" / "b.proto")
    assert found(checkout).stubs != before.stubs


def test_a_pin_changes_the_environment_and_the_stubs(checkout: Path) -> None:
    """Stubs belong to the protoc that made them."""
    before = found(checkout)
    (checkout / "pins.txt").write_text(PINS.replace("click==8", "click==9"))
    after = found(checkout)
    assert after.environment != before.environment
    assert after.stubs != before.stubs


def test_a_pin_of_the_tests_changes_nothing(checkout: Path) -> None:
    """The environment holds no test package, so none of them rebuilds it."""
    before = found(checkout)
    (checkout / "pins.txt").write_text(PINS.replace("pytest==9", "pytest==10"))
    assert found(checkout) == before


def test_pins_without_a_test_section_are_refused() -> None:
    """A cut-off file never passes for a short one."""
    with pytest.raises(ValueError, match="--- test"):
        installed_pins("click==8\n")


def test_an_environment_without_its_mark_or_its_python_is_not_ready(checkout: Path) -> None:
    """What was killed half-way, or lost the Python below it, is made again."""
    place = found(checkout)
    (place.environment / "bin").mkdir(parents=True)
    place.python.symlink_to("/bin/sh")
    assert not place.environment_ready()
    (place.environment / READY).touch()
    assert place.environment_ready()
    place.python.unlink()
    place.python.symlink_to(checkout / "gone")
    assert not place.environment_ready()
