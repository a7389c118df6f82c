"""The terminal while something is watched: a page of its own, and then everything as it was."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TextIO

# Alternate page, no cursor, and no wrapping at the edge; then all of that undone.
_ENTER = "\033[?1049h\033[?25l\033[?7l"
_LEAVE = "\033[?7h\033[?25h\033[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\033[H", "\033[K", "\033[J"
# Shown at once, so that no half of a page is seen. Terminals that do not know it pass it over.
_BEGIN, _SHOW = "\033[?2026h", "\033[?2026l"
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CTRL_C = "\x03"
# Of a terminal that says it has none.
_COLUMNS = 80


def columns_of(stream: TextIO) -> int:
    """How wide the terminal is that the stream goes to."""
    return os.get_terminal_size(stream.fileno()).columns or _COLUMNS


class Screen:
    """Draws pages. `quit` is set when whoever watches has seen enough, `stirred` when the page must
    be drawn again: the terminal has another size, or is back in the foreground.
    """

    def __init__(self) -> None:
        self.quit = asyncio.Event()
        self.stirred = asyncio.Event()
        self.ended_by: signal.Signals | None = None
        self._before: list[Any] | None = None

    @property
    def size(self) -> os.terminal_size:
        return shutil.get_terminal_size()

    def draw(self, lines: Sequence[str]) -> None:
        """One page, from the top; lines below it are blank."""
        body = f"{_CLEAR_LINE}\r\n".join(lines)
        sys.stdout.write(f"{_BEGIN}{_HOME}{body}{_CLEAR_LINE}{_CLEAR_BELOW}{_SHOW}")
        sys.stdout.flush()

    def enter(self) -> None:
        """Takes the terminal; keys come at once and are not shown."""
        if sys.stdin.isatty():
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        sys.stdout.write(_ENTER)
        sys.stdout.flush()

    def leave(self) -> None:
        """Gives it back."""
        # A terminal that has gone needs nothing back.
        with contextlib.suppress(OSError, termios.error):
            sys.stdout.write(_LEAVE)
            sys.stdout.flush()
        if self._before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)

    def read(self) -> None:
        """Takes the keys that were pressed."""
        keys = os.read(sys.stdin.fileno(), 64).decode(errors="replace")
        if not keys or {"q", "Q", _CTRL_C} & set(keys):
            self.quit.set()

    def end(self, number: signal.Signals) -> None:
        self.ended_by = number
        self.quit.set()

    def stop(self) -> None:
        """Ctrl-Z: the shell gets its terminal as it was, and we ours when we go on."""
        self.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.enter()
        self.stirred.set()


@asynccontextmanager
async def live_screen() -> AsyncIterator[Screen]:
    """A screen, for as long as it is watched."""
    screen = Screen()
    loop = asyncio.get_running_loop()
    with _signals(loop, screen):
        screen.enter()
        if sys.stdin.isatty():
            loop.add_reader(sys.stdin, screen.read)
        try:
            yield screen
        finally:
            loop.remove_reader(sys.stdin)
            screen.leave()


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, screen: Screen) -> Iterator[None]:
    for number in _ENDINGS:
        loop.add_signal_handler(number, screen.end, number)
    loop.add_signal_handler(signal.SIGWINCH, screen.stirred.set)
    loop.add_signal_handler(signal.SIGTSTP, screen.stop)
    try:
        yield
    finally:
        for number in (*_ENDINGS, signal.SIGWINCH, signal.SIGTSTP):
            loop.remove_signal_handler(number)
