"""Free ports for processes that are about to listen. The kernel keeps the book, so no two fleets of
a machine are given the same port, whoever started them, and a killed one leaves nothing behind.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


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
    _kept: socket.socket = field(repr=False)

    def release(self) -> None:
        """From here on another may claim it, unless a server listens there."""
        self._kept.close()

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
                passed_over[port] = f"cannot be bound: {error.strerror}"
        raise PortsTaken(asked, passed_over)


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


def _kept(address: str, port: int) -> socket.socket:
    kept = socket.socket(_family(address), socket.SOCK_STREAM)
    try:
        # Bound without SO_REUSEADDR, which refuses a port that anybody has bound; given it only
        # then, which lets one server listen beside us and still refuses the next claim.
        kept.bind((address, port))
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError:
        kept.close()
        raise
    return kept


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
