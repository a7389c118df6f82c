"""The door of the HTTP server: how many connections there are, and how many of one place. Those
count too whose TLS is being agreed upon, and who never ends that is put out.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tandemkit.core import log
from tandemkit.supervise.errands import Errands

_LOGGER = logging.getLogger("services.gateway")
HANDSHAKE_S: Final = 5.0
# Those who wait to be let in, and how many are before the others are listened to again: who came
# with a request is no longer idle when room is looked for.
_BACKLOG, _ADMITTED_AT_ONCE = 1024, 64
# Where the process can open no more.
_REST_S: Final = 1.0
# A process may have 1024 files where nobody says otherwise, and gRPC needs some.
CONNECTIONS: Final = 512
# What part of them one place may have, or one caller, and what part handshakes.
_OF_ONE, _OF_HANDSHAKES = 4, 2
_HANDSHAKES_LEAST: Final = 8
_NETWORK_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there may be, of one address too, and whether they are encrypted.
    Without a bound of its own an address has a quarter of them; those of the loopback, where
    everybody has the same one, all.
    """

    connections_max: int
    per_address_max: int = 0
    tls: ssl.SSLContext | None = None


class Connected(Protocol):
    """One that is open."""

    place: str

    @property
    def is_idle(self) -> bool:
        """Whether no request is in progress."""

    @property
    def is_stuck(self) -> bool:
        """Whether what was written for it waits for its reader."""

    def hang_up(self) -> None:
        """At once."""


class Door:
    """`inside` are the open connections, the oldest first; `made` makes one of a place."""

    def __init__(
        self,
        bounds: Bounds,
        inside: Callable[[], Sequence[Connected]],
        made: Callable[[str], asyncio.Protocol],
    ) -> None:
        self._bounds, self._inside, self._made = bounds, inside, made
        self._loop, self._errands = asyncio.get_running_loop(), Errands()
        part = bounds.connections_max // _OF_HANDSHAKES
        self._handshakes_max = max(_HANDSHAKES_LEAST, part)
        # Those on their way in, by what brings them in.
        self._coming: dict[asyncio.Task[None], str] = {}
        self._resting: asyncio.TimerHandle | None = None

    def open(self, held: socket.socket) -> None:
        held.setblocking(False)
        held.listen(_BACKLOG)
        self._loop.add_reader(held, self._admit, held)

    async def close(self, held: socket.socket) -> None:
        """For new ones, and for those on their way in."""
        if self._resting is not None:
            self._resting.cancel()
        self._loop.remove_reader(held)
        held.close()
        await self._errands.end(0)

    def _admit(self, held: socket.socket) -> None:
        for _ in range(_ADMITTED_AT_ONCE):
            try:
                found, address = held.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:
                log.event(_LOGGER, logging.WARNING, "http.door_shut", cause=str(error))
                self._loop.remove_reader(held)
                self._resting = self._loop.call_later(_REST_S, self.open, held)
                return
            place = place_of(address[0])
            if self._has_room(place):
                self._let_in(found, place)
            else:
                found.close()

    def _let_in(self, found: socket.socket, place: str) -> None:
        found.setblocking(False)
        task = self._errands.start(self._connect(found, place))
        self._coming[task] = place
        task.add_done_callback(lambda done: self._came(done, found))

    def _came(self, done: asyncio.Task[None], found: socket.socket) -> None:
        """Or was put out, maybe before anybody else knew of the socket."""
        self._coming.pop(done, None)
        if done.cancelled():
            found.close()

    async def _connect(self, found: socket.socket, place: str) -> None:
        tls = self._bounds.tls
        within_s = HANDSHAKE_S if tls else None
        # What comes instead of TLS, or goes before its end, is no defect.
        with contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(
                lambda: self._made(place), found, ssl=tls, ssl_handshake_timeout=within_s
            )

    def _has_room(self, place: str) -> bool:
        """Makes it where there is none."""
        if self._bounds.tls and len(self._coming) >= self._handshakes_max:
            self._put_out(next(iter(self._coming)))
        most = self._most(place)
        if most is not None:
            own = [one for one in self._inside() if one.place == place]
            coming = [task for task, one in self._coming.items() if one == place]
            if not self._made_room(own, coming, most):
                return False
        return self._made_room(self._inside(), list(self._coming), self._bounds.connections_max)

    def _made_room(
        self, inside: Sequence[Connected], coming: Sequence[asyncio.Task[None]], most: int
    ) -> bool:
        """The oldest goes that asks nothing; else the oldest that reads nothing; else the first of
        those on their way in.
        """
        if len(inside) + len(coming) < most:
            return True
        found = next((one for one in inside if one.is_idle), None)
        found = found or next((one for one in inside if one.is_stuck), None)
        if found is not None:
            found.hang_up()
        elif coming:
            self._put_out(coming[0])
        else:
            return False
        return True

    def _put_out(self, task: asyncio.Task[None]) -> None:
        del self._coming[task]
        task.cancel()

    def _most(self, place: str) -> int | None:
        if self._bounds.per_address_max:
            return self._bounds.per_address_max
        is_loopback = bool(ipaddress.ip_network(place).is_loopback)
        return None if is_loopback else share_of_one(self._bounds.connections_max)


def share_of_one(connections_max: int) -> int:
    """Of a place, or of a caller, for which nothing else is said."""
    return max(1, connections_max // _OF_ONE)


def place_of(address: str) -> str:
    """Whose it is: an address of IPv4, or a network of IPv6, of whose addresses anybody has more
    than there are connections.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None and not found.is_loopback:
            return str(ipaddress.ip_network((found, _NETWORK_BITS), strict=False))
        found = found.ipv4_mapped or found
    return str(found)
