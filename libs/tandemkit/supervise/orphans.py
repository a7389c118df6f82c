"""What becomes of process groups whose supervisor was killed: they are killed too."""

from __future__ import annotations

import asyncio
import contextlib
import os

# It hears of each group that starts and ends; the end of its input means that we are gone. A shell,
# because it is there within a millisecond and takes next to no memory.
_SCRIPT = """
trap '' HUP INT TERM
groups=
while read -r sign group; do
  rest=
  for one in $groups; do [ "$one" = "-$group" ] || rest="$rest $one"; done
  groups=$rest
  [ "$sign" = - ] || groups="$groups -$group"
done
[ -z "$groups" ] || kill -s KILL -- $groups
"""
_SHELL = "/bin/sh"


class LastWill:
    """A process of ours, while there are groups, that outlives us by as long as it takes to kill
    them. Should it be killed itself, the next start or end of a group replaces it.
    """

    def __init__(self) -> None:
        self._groups: set[int] = set()
        # Its pid, and the descriptor that it reads from at the other end.
        self._executor: tuple[int, int] | None = None

    def add(self, group: int) -> None:
        self._groups.add(group)
        self._say(f"+ {group}\n")

    async def discard(self, group: int) -> None:
        """Returns when the process is gone, if this was the last group."""
        self._groups.discard(group)
        self._say(f"- {group}\n")
        if not self._groups and self._executor is not None:
            executor, self._executor = self._executor, None
            os.close(executor[1])
            await asyncio.to_thread(_reap, executor[0])

    def _say(self, line: str) -> None:
        if self._executor is not None:
            try:
                os.write(self._executor[1], line.encode())
            except OSError:
                # It was killed, or is frozen and its pipe full.
                pid, pipe = self._executor
                os.close(pipe)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
                _reap(pid)
            else:
                return
        self._executor = _spawned()
        for group in self._groups:
            os.write(self._executor[1], f"+ {group}\n".encode())


def _spawned() -> tuple[int, int]:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    try:
        pid = os.posix_spawn(
            _SHELL,
            (_SHELL, "-c", _SCRIPT),
            {},
            file_actions=[(os.POSIX_SPAWN_DUP2, read_end, 0), *quiet],
            # Out of reach of what a terminal or a supervisor sends to our group.
            setsid=True,
        )
    finally:
        os.close(read_end)
    return pid, write_end


def _reap(pid: int) -> None:
    # Somebody who waits for any child may have been faster.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
