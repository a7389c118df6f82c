"""A process that beats as fast as it can; the holder's time is always the holder's number."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from tandemkit.supervise.pulse import Origin, pulse

AGENTS_COUNT = 100


def main(path: Path) -> None:
    origins = [Origin(f"agent-{number}", "/x") for number in range(AGENTS_COUNT)]
    with pulse(path, origins) as beats:
        for turn in itertools.count():
            number = turn % AGENTS_COUNT
            beats.held_by(f"agent-{number}", number)
            beats.loop_beats(turn)
            beats.thread_beats(turn)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
