"""What killed runs and past states of the checkout left in the cache."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

# Longer than any step runs.
_BROKEN_OFF = timedelta(days=1)
_UNUSED = timedelta(days=30)


def sweep(cache: Path, now: datetime) -> list[Path]:
    """Removes what is too old to be in use, and returns it. Each start renews what it uses."""
    broken = [*cache.glob("step-*"), *cache.glob("*/new-*")]
    old = [path for path in broken if _age(path, now) > _BROKEN_OFF]
    old += [mark.parent for mark in cache.glob("*/*/ready") if _age(mark, now) > _UNUSED]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return old


def _age(path: Path, now: datetime) -> timedelta:
    return now - datetime.fromtimestamp(path.stat().st_mtime, now.tzinfo)
