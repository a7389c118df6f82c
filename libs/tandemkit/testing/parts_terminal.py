"""A real terminal for a test's lifetime: tmux draws what a program writes, and types what a person
would.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import demand, short_folder

_PROMPT = "$ "
# What tmux itself calls a terminal; each system that has tmux knows it.
_TERM = "tmux-256color"


@dataclass(frozen=True, slots=True)
class Terminal:
    """A window with a shell in it. `log_path` is tmux's own."""

    tmux: tuple[str, ...]
    log_path: Path

    async def type(self, text: str) -> None:
        """As a person types it, without Enter."""
        await self._ask("send-keys", "-l", text)

    async def press(self, *keys: str) -> None:
        """Keys by tmux's names: Enter, Tab, C-c, C-z."""
        await self._ask("send-keys", *keys)

    async def run(self, line: str) -> None:
        """Types a line and presses Enter."""
        await self.type(line)
        await self.press("Enter")

    async def screen(self) -> list[str]:
        """What stands on it now, without blank lines at its end."""
        return (await self._ask("capture-pane", "-p")).rstrip().splitlines()

    async def resize(self, columns: int, lines: int) -> None:
        await self._ask("resize-window", "-x", str(columns), "-y", str(lines))

    async def shows_alternate(self) -> bool:
        """Whether a program has the page to itself, and has not given it back."""
        return (await self._ask("display-message", "-p", "#{alternate_on}")).strip() == "1"

    async def shows_cursor(self) -> bool:
        return (await self._ask("display-message", "-p", "#{cursor_flag}")).strip() == "1"

    async def _ask(self, *words: str) -> str:
        return await asyncio.to_thread(_output, (*self.tmux, *words))


def _output(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    if done.returncode:
        raise OSError(f"{shlex.join(argv)}: {done.stderr.strip()}")
    return done.stdout


@asynccontextmanager
async def terminal(
    variables: Mapping[str, str], cwd: Path, *, columns: int = 100, lines: int = 30
) -> AsyncIterator[Terminal]:
    """A terminal with a bash that nobody configured."""
    program = str(demand("tmux")["tmux"])
    with short_folder() as folder:
        socket = folder / "tmux.sock"
        tmux = (program, "-S", str(socket), "-f", os.devnull)
        found = Terminal(tmux, folder / "log")
        shell = {**variables, "PS1": _PROMPT, "HISTFILE": "", "LC_ALL": "C.UTF-8"}
        command = Command((*tmux, "-D"), found.log_path, env=shell, cwd=cwd, grace_s=1.0)

        async def listens() -> None:
            if not socket.exists():
                raise ConnectionError

        async with supervised_process(command, ready=listens):
            bash = ("bash", "--norc", "--noprofile", "-i")
            size = ("-x", str(columns), "-y", str(lines))
            await asyncio.to_thread(
                _output, (*tmux, "new-session", "-d", "-c", str(cwd), *size, *bash)
            )
            await asyncio.to_thread(_output, (*tmux, "set", "-g", "default-terminal", _TERM))
            yield found
            await asyncio.to_thread(_output, (*tmux, "kill-server"))
