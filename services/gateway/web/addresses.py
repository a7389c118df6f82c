"""Which addresses may be connected to. Asked for each connection, of the address that it goes to:
neither a name that answers otherwise the second time nor a spelling of an address gets past it.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import TypeAlias

from tandemkit.reach.allowed import Address, Network, plain

# As `getaddrinfo` tells it.
Found: TypeAlias = tuple[int, int, int, str, tuple[object, ...]]

# Addresses that stand for another one, which a gateway on the way would reach.
_TRANSLATED = tuple(
    ipaddress.ip_network(one)
    for one in ("64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")
)


class AddressRefused(OSError):
    """Nothing was sent there."""


class Doorman:
    """Of one request: `refused` has where it would have gone."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self.refused: list[str] = []

    def socket(self, found: Found) -> socket.socket:
        """For a connection to there. Raises AddressRefused."""
        family, kind, protocol, _, place = found
        address = ipaddress.ip_address(str(place[0]).partition("%")[0])
        if not self.lets_pass(address):
            self.refused.append(str(address))
            raise AddressRefused(f"{address} is refused")
        return socket.socket(family, kind, protocol)

    def lets_pass(self, address: Address) -> bool:
        address = plain(address)
        if any(address in network for network in self._networks):
            return True
        is_translated = any(address in network for network in _TRANSLATED)
        return address.is_global and not address.is_multicast and not is_translated
