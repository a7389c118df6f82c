"""The environment with torch: made once, when asked for, and shared by all checkouts."""

from __future__ import annotations

import shutil
from pathlib import Path

from tandemkit.cli.checkout import cache_of, root_of
from tandemkit.cli.output import Refusal
from tandemkit.cli.pinned import environment_of
from tandemkit.cli.steps import Steps
from tandemkit.core.environment import Environment

PINS = "pins-ml.txt"
_DISK_GB_MIN = 12.0


async def obtain(environment: Environment, steps: Steps) -> Path:
    """Its interpreter. Refuses on a disk that cannot hold it, before it fetches anything."""
    cache = cache_of(environment)
    free_gb = shutil.disk_usage(cache).free / 1e9
    made = any(cache.glob("environments/pins-ml-*/ready"))
    if not made and free_gb < _DISK_GB_MIN:
        raise Refusal(
            f"torch needs {_DISK_GB_MIN:.0f} GB at {cache} and {free_gb:.1f} GB are free; "
            "free more, or set XDG_CACHE_HOME to a folder with room."
        )
    return await environment_of(root_of(environment) / PINS, environment, steps)


def site_packages(python: Path) -> Path:
    """What a test adds to its path, by TANDEM_TORCH_SITE, to import torch from here."""
    return python.parent.parent / "lib" / "python3.11" / "site-packages"
