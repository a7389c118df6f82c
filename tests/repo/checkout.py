"""Where the repository stands while its tests run. Git is never asked: a fresh copy has none."""

from __future__ import annotations

from pathlib import Path

# Pants puts the tree below this folder of its sandbox, apart from what it generates.
_IN_SANDBOX = "repository"
_MARK = "pants.toml"


def root() -> Path:
    """The folder of pants.toml: below the sandbox, or above this file."""
    candidates = [Path.cwd() / _IN_SANDBOX, *Path(__file__).resolve().parents]
    return next(folder for folder in candidates if (folder / _MARK).is_file())
