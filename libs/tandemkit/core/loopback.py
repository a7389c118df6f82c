"""Addresses that lead nowhere but to this machine."""

from __future__ import annotations

import ipaddress

_UNIX = "unix:"


def is_loopback(host: str) -> bool:
    """Whether it is a number of the loopback, or its usual name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def stays_here(address: str) -> bool:
    """The same of `host:port`; a unix socket stays here too."""
    return address.startswith(_UNIX) or is_loopback(address.rpartition(":")[0].strip("[]"))
