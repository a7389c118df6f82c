"""Pants's lock may hold only files that pins.txt vouches for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import derived_lock

_KNOWN, _STRANGE = "a" * 64, "b" * 64
_PINS = f"""\
# --- run: what runs
Some.Package[fast]==1.2 \\
    --hash=sha256:{"c" * 64} \\
    --hash=sha256:{_KNOWN}
other==3 ; sys_platform == 'linux' \\
    --hash=sha256:{_STRANGE}
"""


def _lock(file: dict[str, str]) -> dict[str, object]:
    package = {"project_name": "some-package", "version": "1.2", "artifacts": [file]}
    return {"locked_resolves": [{"locked_requirements": [package]}]}


def test_a_file_that_the_pins_know_passes() -> None:
    """A package is recognised however its name is spelt, and any of its hashes will do."""
    lock = _lock({"algorithm": "sha256", "hash": _KNOWN})
    assert derived_lock.strangers(lock, derived_lock.pinned(_PINS)) == []


@pytest.mark.parametrize(
    "file",
    [
        {"algorithm": "sha256", "hash": "d" * 64},
        {"algorithm": "sha256", "hash": _STRANGE},
        {"algorithm": "md5", "hash": _KNOWN},
    ],
    ids=["unknown", "another package's", "another algorithm"],
)
def test_a_file_that_the_pins_do_not_know_is_named(file: dict[str, str]) -> None:
    """A stranger is reported with its package, its version and its hash."""
    found = derived_lock.strangers(_lock(file), derived_lock.pinned(_PINS))
    assert found == [f"some-package 1.2 {file['hash']}"]


def test_a_lock_as_pants_writes_it_is_refused(tmp_path: Path) -> None:
    """The metadata that Pants writes above the lock does not hide what is in it."""
    pins, lock = tmp_path / "pins.txt", tmp_path / "python-default.lock"
    pins.write_text(_PINS)
    content = json.dumps(_lock({"algorithm": "sha256", "hash": "e" * 64}), indent=2)
    lock.write_text("// --- BEGIN PANTS LOCKFILE METADATA\n// {}\n" + content)
    with pytest.raises(derived_lock.LockRefused, match=r"some-package 1\.2 e{64}"):
        derived_lock.check(lock, pins)


@given(st.from_regex(r"[a-z0-9]+([-_.]+[a-zA-Z0-9]+)*", fullmatch=True))
def test_normal_names_stay_as_they_are(name: str) -> None:
    """Spelling a name normally twice is spelling it once."""
    once = derived_lock.normal(name)
    assert derived_lock.normal(once) == once


def test_only_what_decides_a_lock_makes_it_stale(tmp_path: Path) -> None:
    """New pins or another resolve ask for another lock; other settings of Pants do not."""
    pins, settings = tmp_path / "pins.txt", tmp_path / "pants.toml"
    pins.write_text(_PINS)

    def digest(resolve: str, timeout_s: int) -> str:
        settings.write_text(
            f'[GLOBAL]\npants_version = "2.17.1"\n\n[python.resolves]\n{resolve} = "x.lock"\n\n'
            f"[test]\ntimeout_default = {timeout_s}\n"
        )
        return derived_lock.digest(tmp_path)

    before = digest("one", 1)
    assert digest("one", 2) == before
    assert digest("two", 1) != before
    pins.write_text(_PINS.replace("1.2", "1.3"))
    assert digest("one", 1) != before
