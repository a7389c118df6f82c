"""Where a process may be made to connect on somebody else's word: an address that a caller names is
a way into the network of who asks it, so it is allowed by its numbers or not at all.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from tandemkit.core.errors import Failure
from tandemkit.reach.failure import Unreachable

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


class Forbidden(Failure):
    """Policy does not let us connect there."""


class Allowed:
    """Loopback, `networks`, and wherever the names that `machines` says lead at that moment."""

    def __init__(
        self, networks: Iterable[Network] = (), machines: Callable[[], Iterable[str]] = tuple
    ) -> None:
        self._networks = (*LOOPBACK, *networks)
        self._machines = machines

    async def numbers(self, host: str) -> list[str]:
        """Where `host` leads, all of it allowed. Connect there and to no name: a name may lead
        elsewhere a moment later. Raises Forbidden, Unreachable.
        """
        found = await _looked_up(host)
        strange = [one for one in found if not self._is_near(one)]
        if strange:
            machines = {number for name in self._machines() for number in await _known(name)}
            strange = [one for one in strange if one not in machines]
        if strange:
            message = "no address that may be asked: neither loopback nor a machine of the fleet"
            raise Forbidden(message, host=host, address=strange[0])
        return [str(one) for one in found]

    def _is_near(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


async def _looked_up(host: str) -> list[Address]:
    try:
        return [plain(ipaddress.ip_address(host))]
    except ValueError:
        pass  # a name
    try:
        told = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable("its name leads nowhere", host=host) from error
    # With a scope, a link-local address of IPv6 is none that Python reads; nor one we would allow.
    numbers = dict.fromkeys(str(one[4][0]).partition("%")[0] for one in told)
    return [plain(ipaddress.ip_address(number)) for number in numbers]


async def _known(name: str) -> list[Address]:
    try:
        return await _looked_up(name)
    except Unreachable:
        return []


def plain(address: Address) -> Address:
    """`::ffff:10.0.0.1` is 10.0.0.1 by another name."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
