"""Sets of CPU cores as files write them: `0-3,8`."""

from __future__ import annotations


def parsed(text: str) -> tuple[int, ...]:
    """The cores in ascending order. Raises ValueError with a sentence; empty text is no core."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        cores = range(int(first), int(last or first) + 1)
        if not cores:
            raise ValueError(f"{part} ends before it begins: write {last}-{first}")
        found.update(cores)
    return tuple(sorted(found))


def written(cores: tuple[int, ...]) -> str:
    """The shortest text for ascending cores."""
    runs: list[list[int]] = []
    for core in cores:
        if runs and runs[-1][-1] == core - 1:
            runs[-1].append(core)
        else:
            runs.append([core])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
