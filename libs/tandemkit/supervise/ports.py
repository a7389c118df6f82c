"""Free ports for processes that are about to listen. The kernel keeps the book, so no two fleets of
a machine are given the same port, whoever started them, and a killed one leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

# Of the kernel's list of connections: on their way out, and without a process that could listen.
_CLOSING = frozenset({"04", "05", "06", "09", "0B"})


class PortsTaken(Exception):
    """No port of a range is free. `reasons` says of each what keeps it."""

    def __init__(self, ports: Iterable[int], reasons: dict[int, str]) -> None:
        asked = tuple(ports)
        told = "; ".join(f"{port}: {why}" for port, why in list(reasons.items())[:3])
        more = len(reasons) - 3
        rest = f"; and {more} more" if more > 0 else ""
        span = f"{asked[0]}-{asked[-1]}" if asked else "an empty range"
        super().__init__(f"no port of {span} is free ({told}{rest})")
        self.reasons = reasons


@dataclass
class Claim:
    """One port, kept from everybody else who claims. A server may listen on it meanwhile: it sets
    SO_REUSEADDR, as servers do, and this socket never listens.
    """

    port: int
    passed_over: dict[int, str]
    _kept: tuple[socket.socket, ...] = field(repr=False)

    def release(self) -> None:
        """From here on another may claim it, unless a server listens there."""
        for one in self._kept:
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


@dataclass(frozen=True)
class Allocator:
    """Claims ports of one address. `reserved` gives for ports that nobody gets the reason why."""

    address: str = "127.0.0.1"
    reserved: dict[int, str] = field(default_factory=dict)

    def claim(self, ports: Iterable[int], preferred: int = 0) -> Claim:
        """The preferred port if it is free, else the first free one. Raises PortsTaken."""
        asked = tuple(ports)
        passed_over: dict[int, str] = {}
        for port in _preferred_first(asked, preferred):
            if port in self.reserved:
                passed_over[port] = f"is reserved: {self.reserved[port]}"
                continue
            try:
                return Claim(port, passed_over, _kept(self.address, port))
            except OSError as error:
                if port == preferred and _is_only_closing(self.address, port):
                    with contextlib.suppress(OSError):
                        kept = _kept(self.address, port, beside_closing=True)
                        return Claim(port, passed_over, kept)
                passed_over[port] = f"cannot be bound: {error.strerror}"
        raise PortsTaken(asked, passed_over)


def held(address: str, ports: Iterable[int]) -> Iterator[Claim]:
    """Ports on which processes of ours listen already, kept from who would claim them in the moment
    between two of those processes. One that somebody else keeps is left out.
    """
    for port in ports:
        with contextlib.suppress(OSError):
            yield Claim(port, {}, (_mark(address, port),))


def obstacle(address: str, port: int) -> str:
    """Why a server could not listen on a port that we have claimed, which is that somebody does.
    Empty: it could.
    """
    with socket.socket(_family(address), socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((address, port))
        except OSError as error:
            return f"cannot be bound: {error.strerror}"
    return ""


def _preferred_first(ports: tuple[int, ...], preferred: int) -> Iterator[int]:
    if preferred:
        yield preferred
    yield from (port for port in ports if port != preferred)


def _is_only_closing(address: str, port: int) -> bool:
    """Whether nobody has the port but connections of a server that is gone: whoever starts that
    server again wants the same one. Linux says so; elsewhere the answer is no.
    """
    if obstacle(address, port):
        return False
    states = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), Path(table).open() as lines:
            fields = (line.split() for line in lines)
            states |= {one[3] for one in fields if one[1].endswith(f":{port:04X}")}
    return bool(states) and states <= _CLOSING


def _kept(address: str, port: int, *, beside_closing: bool = False) -> tuple[socket.socket, ...]:
    """Raises OSError where somebody has the port, or claims it."""
    with contextlib.ExitStack() as kept:
        mark = kept.enter_context(_mark(address, port))
        claim = kept.enter_context(socket.socket(_family(address), socket.SOCK_STREAM))
        if beside_closing:
            claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Bound without SO_REUSEADDR, which refuses a port that anybody has bound; given it only
        # then, which lets one server listen beside us and still refuses the next claim.
        claim.bind((address, port))
        claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.pop_all()
    return claim, mark


def _mark(address: str, port: int) -> socket.socket:
    """A name that the kernel gives once: kept also where the port itself cannot be bound, since a
    process listens there or connections are closing. Raises OSError where somebody has it.
    """
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        if sys.platform == "linux":
            mark.bind(f"\0tandem-port-{address}-{port}")
    except OSError:
        mark.close()
        raise
    return mark


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
