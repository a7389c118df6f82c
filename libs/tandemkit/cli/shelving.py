"""What `checkpoint`, `verify`, `restore` and `rollback` share: one is made, looked at, told of."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import click
from click.shell_completion import CompletionItem
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from tandemkit.cli.event_text import Schemas
from tandemkit.cli.output import EXIT_NO, EXIT_USAGE, Refusal
from tandemkit.cli.waiting import waiting
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.core.errors import Failure
from tandemkit.core.lock import InUse
from tandemkit.machine.checkpoints.checking import Checker, Fault
from tandemkit.machine.checkpoints.filling import Wish
from tandemkit.machine.checkpoints.restoring import Interrupted
from tandemkit.machine.checkpoints.room import NoRoom
from tandemkit.machine.checkpoints.shelf import (
    LAST_STABLE,
    Kept,
    NameTaken,
    NoSuchCheckpoint,
    Shelf,
)
from tandemkit.machine.checkpoints.taking import Taking
from tandemkit.machine.home import Home

_CLOCK = SystemClock()
_KIB = 1024
_Result = TypeVar("_Result")
# Wrong usage, or a disk that is full; all else is a no.
_USAGE = (NameTaken, NoRoom, Interrupted)


@dataclass
class Said:
    """What is being done, for whoever watches. Work in a thread ends at the next word once its
    command was interrupted.
    """

    now: str = ""
    _is_over: threading.Event = field(default_factory=threading.Event)

    def tell(self, words: str) -> None:
        if self._is_over.is_set():
            raise KeyboardInterrupt
        self.now = words

    def stop(self) -> None:
        self._is_over.set()


@contextmanager
def refusals() -> Iterator[None]:
    """Failures of checkpoints, as sentences."""
    try:
        yield
    except InUse as error:
        message = "another command makes or restores a checkpoint of this home; try again then."
        raise Refusal(message, EXIT_NO) from error
    except NoSuchCheckpoint as error:
        name = error.metadata["name"]
        raise Refusal(
            f"{error.message}: {name}; ./tandem checkpoint list shows all.", EXIT_NO
        ) from error
    except Failure as error:
        raise Refusal(f"{error}.", EXIT_USAGE if isinstance(error, _USAGE) else EXIT_NO) from error


async def in_thread(title: str, work: Callable[[Callable[[str], None]], _Result]) -> _Result:
    """What `work` returns, which tells what it does; a person sees that once it takes a while."""
    said = Said()
    async with waiting(sys.stderr, title, lambda: said.now):
        try:
            return await asyncio.to_thread(work, said.tell)
        finally:
            said.stop()


async def made(home: Home, wish: Wish) -> Kept:
    """A checkpoint, made and verified. Whoever calls holds the shelf alone."""

    def take(tell: Callable[[str], None]) -> Kept:
        return Taking(home, _CLOCK, tell).take(wish)

    kept = await in_thread(f"making checkpoint {wish.name}", take)
    if not wish.damage:
        await verified(kept)
    return kept


async def verified(kept: Kept) -> list[Fault]:
    """What is wrong with it; notes on it whether it is stable."""

    def check(tell: Callable[[str], None]) -> list[Fault]:
        return list(Checker(reads(Environment.read()), tell).checkpoint(kept))

    faults = await in_thread(f"verifying {kept.name}", check)
    kept.say_verified("" if faults else _CLOCK.now().isoformat(timespec="seconds"))
    return faults


def reads(environment: Environment) -> Callable[[str, bytes], bool | None]:
    """Whether content is a message of the contracts of this checkout."""
    schemas = Schemas.read(environment)

    def is_message(schema: str, content: bytes) -> bool | None:
        try:
            kind = schemas.kind(schema)
        except KeyError:
            return None
        try:
            GetMessageClass(kind).FromString(content)
        except DecodeError:
            return False
        return True

    return is_message


def complete(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """For Tab."""
    known = [*Shelf(Home(Environment.read().home)).names(), LAST_STABLE]
    return [CompletionItem(name) for name in known if name.startswith(incomplete)]


def name_now(shelf: Shelf, prefix: str = "") -> str:
    """One that nobody has, from the time."""
    name = f"{prefix}{_CLOCK.now():%Y%m%d-%H%M%S}"
    taken = shelf.names()
    numbers = (f"{name}-{number}" for number in range(2, 1000))
    return name if name not in taken else next(one for one in numbers if one not in taken)


def size_text(size: int) -> str:
    """In the unit that a person would take."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < _KIB:
            break
        value, unit = value / _KIB, larger
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
