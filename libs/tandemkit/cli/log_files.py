"""What hosts wrote, out of their files: for when there is nobody who could be asked for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from tandemkit.cli.output import near

_SUFFIX = ".log"


def last_lines(folder: Path, target: str, lines_max: int) -> Iterator[tuple[str, str]]:
    """Each line with its host: of a host the last ones, of an agent the last ones that name it.
    LookupError where no host of that name wrote, and none of such an agent.
    """
    files = {path.name.removesuffix(_SUFFIX): path for path in sorted(folder.glob(f"*{_SUFFIX}"))}
    if target in files:
        files, word = {target: files[target]}, ""
    else:
        word = target
    found: deque[tuple[str, str]] = deque(maxlen=lines_max)
    is_known = not word
    for host, path in files.items():
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if word in line:
                    is_known = True
                    found.append((host, line.rstrip("\n")))
    if not is_known:
        raise LookupError(f"nothing of {target!r} stands in {folder}{near(target, files)}")
    yield from found
