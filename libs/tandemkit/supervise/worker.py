"""The other end of `workers`: a process that runs one function after the other, as it is told.

Nothing but what both ends need is imported here: the rest comes with the functions.
"""

from __future__ import annotations

import pickle
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from tandemkit.core import log

# Of what follows, in bytes.
SIZE = struct.Struct("<Q")
# For `-c`: modules are found where our own are, in whatever way we were started.
BOOT = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from tandemkit.supervise.worker import main; main(int(sys.argv[1]))"
)


@dataclass(frozen=True, slots=True)
class Task:
    """A function that a module has under its own name, so that the other end finds it there."""

    function: Callable[..., object]
    arguments: tuple[object, ...]
    named: dict[str, object]


@dataclass(frozen=True, slots=True)
class Done:
    """How it went: what it returned, or what it raised; and the CPU time of it."""

    value: object
    error: BaseException | None
    cpu_s: float


class Unpicklable(Exception):
    """Stands for an exception, or a value, that cannot cross processes."""


def main(descriptor: int) -> None:
    """Until the other end is gone."""
    log.write_to(sys.stderr)
    with socket.socket(fileno=descriptor) as wire, wire.makefile("rwb") as file:
        stream = cast("BinaryIO", file)
        while size := stream.read(SIZE.size):
            reply = _packed(_done(stream.read(*SIZE.unpack(size))))
            stream.write(SIZE.pack(len(reply)) + reply)
            stream.flush()


def _done(told: bytes) -> Done:
    began_s = time.process_time()
    value: object = None
    error: BaseException | None = None
    try:
        task: Task = pickle.loads(told)
        value = task.function(*task.arguments, **task.named)
    except Exception as raised:
        # Its frames stay here; the one who logs it wants to see them.
        raised.add_note(f"in a worker:\n{traceback.format_exc()}")
        error = raised
    return Done(value, error, time.process_time() - began_s)


def _packed(done: Done) -> bytes:
    try:
        packed = pickle.dumps(done)
        # Some exceptions go in and do not come out again.
        pickle.loads(packed)
    except Exception as reason:
        what: Any = done.error if done.error is not None else type(done.value)
        stand_in = Unpicklable(f"{what!r} cannot leave its process: {reason}")
        for note in getattr(done.error, "__notes__", ()):
            stand_in.add_note(note)
        return pickle.dumps(Done(None, stand_in, done.cpu_s))
    return packed
