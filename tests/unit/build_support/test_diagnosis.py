"""Each way in which set-up can fail has its sentence."""

import errno
from pathlib import Path

import pytest

from diagnosis import is_final, sentence_for
from tandemkit.cli.steps import StepFailure

CACHE = Path("/tmp")  # a folder that exists, for the space left on its disk


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("failed to write: No space left on device (os error 28)", "the disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "does not have the hash"),
        ("error: Failed to fetch: `click`\n  dns error", "cannot be reached"),
        ("NewConnectionError: Failed to establish a new connection", "cannot be reached"),
        ("mkdir: Permission denied", "cannot write to the cache"),
        ('tandem/a.proto:3:4: Expected ";".', "the contracts do not compile"),
        ("Segmentation fault", "installing failed: Segmentation fault"),
        ("", "installing failed: it wrote nothing"),
    ],
)
def test_a_step_that_fails_has_a_sentence(output: str, said: str) -> None:
    """What the program wrote becomes what to do."""
    told = sentence_for(StepFailure("installing", output), CACHE)
    assert said in told
    assert "run this again" in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "cannot write to the cache"),
        (errno.ENOTDIR, "cannot write to the cache"),
        (errno.EIO, "mend that"),
    ],
)
def test_a_system_error_has_a_sentence(code: int, said: str) -> None:
    """The same for what the kernel refuses."""
    assert said in sentence_for(OSError(code, "why"), CACHE)


@pytest.mark.parametrize(
    ("output", "final"),
    [("No space left on device", True), ("Hash mismatch", True), ("unsupported platform", False)],
)
def test_another_installer_is_tried_only_where_it_may_help(output: str, final: bool) -> None:
    """A wrong hash is never asked for twice."""
    assert is_final(StepFailure("installing", output)) is final
