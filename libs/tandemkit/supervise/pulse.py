"""A process's signs of life, in a file that others read without asking it.

Each fact is one aligned word of memory that is written and read whole, whatever happens in between:
docs/design/liveness.md.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# How often a process that is well says so; the reader's limits are multiples of it.
BEAT_S = 0.5
# "tandem" and the layout's number.
_MAGIC = int.from_bytes(b"tandem\x00\x01", "little")
_PID, _LOOP, _THREAD, _HELD, _SIGNAL, _NAMES_BYTES = range(1, 7)
_NAMES_AT = 64
_SIZE = 65536
_NS = 1_000_000_000
# A word holds both, so that nobody ever sees the one without the other.
_HOLDER_SHIFT = 48
_MS_MASK = (1 << _HOLDER_SHIFT) - 1


@dataclass(frozen=True, slots=True)
class Origin:
    """An agent, and the file or, with a `/` at its end, the folder that its code stands in."""

    agent: str
    path: str

    def holds(self, path: str) -> bool:
        return path == self.path or (self.path.endswith("/") and path.startswith(self.path))


class Pulse:
    """The side that beats. A beat is one store into memory: no system call, and nothing to wait
    for.
    """

    def __init__(self, memory: mmap.mmap, origins: Sequence[Origin]) -> None:
        self._words = memoryview(memory).cast("Q")
        self._numbers = {one.agent: number for number, one in enumerate(origins, 1)}

    def loop_beats(self, now_s: float) -> None:
        """From the loop that serves calls."""
        self._words[_LOOP] = int(now_s * _NS)

    def thread_beats(self, now_s: float) -> None:
        """From a thread beside it, which can go on while the loop is held by Python code."""
        self._words[_THREAD] = int(now_s * _NS)

    @property
    def loop_s(self) -> float:
        """When the loop beat last."""
        return self._words[_LOOP] / _NS

    def held_by(self, agent: str, since_s: float) -> None:
        """Who keeps the loop from beating. Nobody, or nobody that is known: an empty name."""
        number = self._numbers.get(agent, 0)
        self._words[_HELD] = number << _HOLDER_SHIFT | (int(since_s * 1000) & _MS_MASK)

    def answers_to(self, number: int) -> None:
        """The signal upon which the process writes its stack; without this none must be sent."""
        self._words[_SIGNAL] = number

    def close(self) -> None:
        self._words.release()


@contextlib.contextmanager
def pulse(path: Path | None, origins: Sequence[Origin]) -> Iterator[Pulse]:
    """A new file, there from one moment to the next, which stays behind when the process ends: its
    last beats say when that was. Without a path it is kept in memory alone.

    Raises OSError, also for a full disk: later writes to a file without blocks would be fatal.
    """
    if path is None:
        with mmap.mmap(-1, _SIZE) as memory, contextlib.closing(Pulse(memory, origins)) as made:
            yield made
        return
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, _SIZE)
        memory = mmap.mmap(descriptor, _SIZE)
        _fill(memory, origins)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    with memory, contextlib.closing(Pulse(memory, origins)) as made:
        yield made


def _fill(memory: mmap.mmap, origins: Sequence[Origin]) -> None:
    told = "\n".join(f"{one.agent}\t{one.path}" for one in origins).encode()
    # Agents beyond that go unnamed when they hold the loop, and are found out all the same.
    told = told[: _SIZE - _NAMES_AT].rpartition(b"\n")[0] if len(told) > _SIZE - _NAMES_AT else told
    memory[_NAMES_AT : _NAMES_AT + len(told)] = told
    struct.pack_into("<Q", memory, 8 * _PID, os.getpid())
    struct.pack_into("<Q", memory, 8 * _NAMES_BYTES, len(told))
    struct.pack_into("<Q", memory, 0, _MAGIC)


@dataclass(frozen=True, slots=True)
class Beats:
    """What a process says of itself, all times of the machine's monotonic clock. `holder` is empty
    where nobody is known to hold the loop; `dump_signal` is 0 where there is none.
    """

    pid: int
    loop_s: float
    thread_s: float
    holder: str
    held_since_s: float
    dump_signal: int


class Reader:
    """The side that looks, from any process: some loads from memory each time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.origins: tuple[Origin, ...] = ()
        self._identity: tuple[int, int] | None = None
        self._memory: mmap.mmap | None = None

    def read(self) -> Beats | None:
        """The newest process's; None where there is no file, or none that can be trusted."""
        try:
            found = self.path.stat()
        except OSError:
            self.close()
            return None
        if (found.st_dev, found.st_ino) != self._identity or self._memory is None:
            self.close()
            self._open()
        if self._memory is None:
            return None
        words = memoryview(self._memory).cast("Q")
        try:
            held = words[_HELD]
            return Beats(
                pid=words[_PID],
                loop_s=words[_LOOP] / _NS,
                thread_s=words[_THREAD] / _NS,
                holder=self._name(held >> _HOLDER_SHIFT),
                held_since_s=(held & _MS_MASK) / 1000,
                dump_signal=words[_SIGNAL],
            )
        finally:
            words.release()

    def close(self) -> None:
        if self._memory is not None:
            self._memory.close()
        self._memory, self._identity, self.origins = None, None, ()

    def _name(self, number: int) -> str:
        return self.origins[number - 1].agent if 0 < number <= len(self.origins) else ""

    def _open(self) -> None:
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_size != _SIZE:
                    return
                memory = mmap.mmap(file.fileno(), _SIZE, access=mmap.ACCESS_READ)
        except OSError:
            return
        magic, names_bytes = struct.unpack_from("<Q", memory)[0], 0
        if magic == _MAGIC:
            names_bytes = struct.unpack_from("<Q", memory, 8 * _NAMES_BYTES)[0]
            self.origins = _origins(memory[_NAMES_AT : _NAMES_AT + names_bytes])
            self._memory, self._identity = memory, (found.st_dev, found.st_ino)
        else:
            memory.close()


def _origins(told: bytes) -> tuple[Origin, ...]:
    lines = told.decode(errors="replace").splitlines() if told else ()
    return tuple(Origin(*line.split("\t", 1)) for line in lines if "\t" in line)
