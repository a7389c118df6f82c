"""Files that hold a secret each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tandemkit.core import redaction
from tandemkit.reach.failure import Refused
from tandemkit.secrecy import files


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    redaction.forget()


def test_what_was_written_is_read_by_its_owner_alone(tmp_path: Path) -> None:
    """Also over a file that others could read."""
    path = tmp_path / "api_key"
    path.write_text("old")
    path.chmod(0o644)
    files.write(path, "value-1\n")
    assert path.stat().st_mode & 0o777 == 0o600
    found = files.read(path)
    assert found is not None
    assert found.secret.reveal() == "value-1"
    assert [one.name for one in tmp_path.iterdir()] == ["api_key"]


def test_two_may_write_it_at_once(tmp_path: Path) -> None:
    """One of them is later; neither fails, and nothing is left beside it."""
    path, values = tmp_path / "api_key", ("one-value" * 999, "another" * 999)

    def write(value: str) -> None:
        for _ in range(200):
            files.write(path, value)

    with ThreadPoolExecutor(max_workers=2) as threads:
        list(threads.map(write, values))
    assert path.read_text() in values
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_nothing_of_the_value(tmp_path: Path) -> None:
    """As on a full disk; here a folder is in the way."""
    path = tmp_path / "api_key"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        files.write(path, "value-1")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_no_file_and_an_empty_one_hold_no_secret(tmp_path: Path, content: bytes) -> None:
    """Whoever empties it takes the secret away."""
    path = tmp_path / "api_key"
    assert files.read(path) is None
    path.write_bytes(content)
    path.chmod(0o600)
    assert files.read(path) is None


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o602, 0o666])
def test_a_file_that_others_may_use_is_refused_with_what_to_do(tmp_path: Path, mode: int) -> None:
    """And its value stands in no message."""
    path = tmp_path / "api_key"
    path.write_text("value-1")
    path.chmod(mode)
    with pytest.raises(Refused, match="chmod 600") as told:
        files.read(path)
    assert "value-1" not in str(told.value)


def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """That one knows it, and may change it."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    path = tmp_path / "api_key"
    files.write(path, "value-1")
    os.chown(path, 65534, 65534)
    with pytest.raises(Refused, match="another user"):
        files.read(path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 70_000])
def test_what_is_no_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    """Bytes that are no text, and more than a secret has."""
    path = tmp_path / "api_key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(Refused):
        files.read(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """What an orchestrator makes where the file to mount was missing."""
    (tmp_path / "api_key").mkdir(mode=0o700)
    with pytest.raises(Refused, match="in a file"):
        files.read(tmp_path / "api_key")
