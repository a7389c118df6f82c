"""Reads the log of a host: its last lines, and those that it goes on to write."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

from tandemkit.core.clock import Clock

LINE_BYTES_MAX = 64 * 1024
# Of one message: much less than what gRPC carries.
_CHUNK_BYTES = 512 * 1024
_LOOK_S = 0.2
Matches = Callable[[str], bool]


class Log:
    """A file that is only added to, until it is cut to begin anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._rest = b""

    def tail(self, lines_max: int, matches: Matches) -> list[str]:
        """The last lines that match; what comes next is what was written after them."""
        size = self._size()
        found: list[str] = []
        self._at = size
        if lines_max:
            start = size
            # From the end, in ever larger pieces: mostly the first one holds them.
            span = _CHUNK_BYTES
            while start and len(found) <= lines_max:
                start = max(0, size - span)
                span *= 4
                lines = self._read(start, size).split(b"\n")
                # The first one may have begun before.
                found = [one for one in map(_text, lines[1 if start else 0 :]) if _is(one, matches)]
        return found[-lines_max:] if lines_max else []

    async def follow(self, clock: Clock, matches: Matches) -> AsyncGenerator[Sequence[str], None]:
        """Lines as they are written, until the caller stops."""
        while True:
            size = self._size()
            if size < self._at:
                # It was cut.
                self._at, self._rest = 0, b""
            if size == self._at:
                await clock.sleep(_LOOK_S)
                continue
            end = min(size, self._at + _CHUNK_BYTES)
            *lines, self._rest = (self._rest + self._read(self._at, end)).split(b"\n")
            self._at = end
            if len(self._rest) > LINE_BYTES_MAX:
                lines, self._rest = [*lines, self._rest], b""
            if found := [one for one in map(_text, lines) if _is(one, matches)]:
                yield found

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _read(self, start: int, end: int) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                return file.read(end - start)
        except FileNotFoundError:
            return b""


def _text(line: bytes) -> str:
    return line[:LINE_BYTES_MAX].decode(errors="replace").rstrip("\r")


def _is(line: str, matches: Matches) -> bool:
    return bool(line) and matches(line)


def about(name: str, service: str) -> Matches:
    """Lines of a host that name one of its agents: itself, its contract, or a task of it."""
    words = (f'"{name}"', f'/{name}"', f"/{service}/", f'"services.{_module(name)}')
    return lambda line: any(word in line for word in words)


def everything(_line: str) -> bool:
    return True


def _module(name: str) -> str:
    family, _, agent = name.partition("-")
    return f"{family}.{agent.replace('-', '_')}"
