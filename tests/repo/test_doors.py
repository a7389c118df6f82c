"""What has one way in is entered by it alone."""

from __future__ import annotations

import pytest

from tests.repo.checkout import root
from tools.rules import doors
from tools.rules.tree import Tree

_CALLER = "libs/tandemkit/hosting/tenants.py"
_ROLL = "tandemkit.supervise.roll"


def test_m004_no_caller_bypasses_the_interface() -> None:
    """Whoever looks up or registers what runs asks the registry, never one of its backends."""
    assert list(doors.check(Tree.read(root()))) == []


@pytest.mark.parametrize(
    "line",
    [
        f"from {_ROLL}.plain import PlainRoll",
        f"from {_ROLL} import cached",
        f"import {_ROLL}.plain",
        f"from {_ROLL}.hybrid import HybridRoll",
    ],
)
def test_m004_a_caller_that_did_would_be_seen(line: str) -> None:
    """However it spells the import; the registry itself may, and so may tests."""
    found = list(doors.check(Tree({_CALLER: f"{line}\n"})))
    assert [(one.path, one.rule) for one in found] == [(_CALLER, "door")]
    may = ("libs/tandemkit/supervise/roll/registry.py", "tests/contract/roll/test_backends.py")
    assert list(doors.check(Tree(dict.fromkeys(may, f"{line}\n")))) == []


def test_the_flag_of_a_migration_is_anybodys() -> None:
    """It says who takes the scaffolding down, and opens nothing."""
    line = f"from {_ROLL}.hybrid import Migration, MigrationOver\n"
    assert list(doors.check(Tree({_CALLER: line}))) == []
