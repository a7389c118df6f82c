"""What uv resolves becomes pins.txt."""

from __future__ import annotations

import pytest

from tools import pins

_HASH = f"    --hash=sha256:{'0' * 64}\n"


def test_a_pin_keeps_its_hashes() -> None:
    """Every hash stays with the package that it belongs to."""
    compiled = f"one==1 \\\n{_HASH}two[extra]==2 \\\n{_HASH}{_HASH}"
    found = pins.pins_of(compiled)
    assert found == {"one": f"one==1 \\\n{_HASH}", "two": f"two[extra]==2 \\\n{_HASH}{_HASH}"}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (" ; python_full_version < '3.12'", ""),
        (
            " ; python_full_version < '3.12' and sys_platform == 'win32'",
            " ; sys_platform == 'win32'",
        ),
        (" ; python_full_version < '3.11.3'", " ; python_full_version < '3.11.3'"),
    ],
)
def test_what_is_true_everywhere_is_not_said(written: str, kept: str) -> None:
    """The bound on Python that every line would carry is dropped, other conditions are kept."""
    assert pins.pins_of(f"one==1{written} \\\n{_HASH}") == {"one": f"one==1{kept} \\\n{_HASH}"}


@pytest.mark.parametrize(
    "compiled",
    ["one>=1\n", "one @ file:///elsewhere\n", "--index-url x\n", "one==1\none==2\n"],
    ids=["no exact version", "an address", "an option", "two versions"],
)
def test_what_is_no_pin_is_refused(compiled: str) -> None:
    """Nothing but exact versions of one kind reaches the file."""
    with pytest.raises(pins.PinFailure):
        pins.pins_of(compiled)


def test_each_section_begins_with_its_marker() -> None:
    """`./tandem` finds the end of what it installs by the marker of the tests' section."""
    text = pins.render({"run": {"a": "a==1\n"}, "build": {"b": "b==1\n"}, "test": {"c": "c==1\n"}})
    lines = text.splitlines()
    found = [lines.index(pin) for pin in ("a==1", "b==1", "c==1")]
    markers = [n for n, line in enumerate(lines) if line.startswith("# --- ")]
    assert [lines[n].split(":")[0] for n in markers] == ["# --- run", "# --- build", "# --- test"]
    assert [at - 1 for at in found] == markers


def test_a_project_without_the_groups_is_refused() -> None:
    """What the pins are made from is named when it is missing."""
    with pytest.raises(pins.PinFailure, match="group"):
        pins.requirements_of({"project": {"dependencies": []}})
