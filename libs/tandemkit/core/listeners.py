"""Which user's process listens on a port of this machine, as Linux tells everybody."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tandemkit.core.loopback import is_loopback

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTENING = "0A"
_ROOT = 0


def strangers_at(address: str) -> set[int]:
    """Users other than us and root that listen where a call of `host:port` on loopback would come.
    Empty for other machines, and where the system does not say.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or not is_loopback(host.strip("[]")):
        return set()
    return _users_of(int(port)) - {os.geteuid(), _ROOT}


def _users_of(port: int) -> set[int]:
    users = set()
    for table in _TABLES:
        with suppress(OSError), Path(table).open() as lines:
            for fields in map(str.split, lines):
                if fields[1].endswith(f":{port:04X}") and fields[3] == _LISTENING:
                    users.add(int(fields[7]))
    return users
