"""The checkout that `./tandem` runs in, for the commands that work on it."""

from __future__ import annotations

from pathlib import Path

from tandemkit.cli.output import Refusal
from tandemkit.core.environment import Environment


def root_of(environment: Environment) -> Path:
    """The root of the checkout; a packaged agent has none."""
    if environment.root is None:
        raise Refusal("this command works on a checkout; run it as ./tandem in one.")
    return environment.root


def cache_of(environment: Environment) -> Path:
    """The cache folder, made."""
    environment.cache.mkdir(parents=True, exist_ok=True)
    return environment.cache
