"""What lives in this process and below it: processes, threads, sockets that listen, folders."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tandemkit.testing.origins import Origins

# The kernel's lists of sockets: which column has the state, which the inode, and what listens.
_NET = {"tcp": (3, 9, "0A"), "tcp6": (3, 9, "0A"), "unix": (3, 6, "00010000")}
_ZOMBIE = "Z"
# One thread for each process that waits for calls, and it has no end.
_LIBRARIES = ("grpc.", "grpc_")


@dataclass(frozen=True, slots=True)
class Alive:
    """One thing. The same thing is equal to itself whenever it is looked at."""

    kind: str
    identity: tuple[object, ...]
    what: str = field(compare=False)
    where: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.what}, started at {self.where}"

    def end(self) -> None:
        """So that it does not meet the next test: a process can be, and nothing else."""
        if self.kind == "process":
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(str(self.identity[0])), signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    session: int
    began: int
    state: str


class Census:
    """Takes stock. Looks for processes only where one was started since it was last asked."""

    def __init__(self, origins: Origins, mark: Mapping[str, str]) -> None:
        self._origins = origins
        self._mark = b"".join(f"\0{name}={value}\0".encode() for name, value in mark.items())
        self._starts_seen = 0
        self._processes: frozenset[Alive] = frozenset()
        # By inode the address that it listens on, if it does.
        self._sockets: dict[int, str | None] = {}
        self._began = _began(os.getpid())

    def take(self) -> frozenset[Alive]:
        return frozenset((*self._running(), *self._threads(), *self._listening(), *self._folders()))

    def _running(self) -> frozenset[Alive]:
        if self._processes or self._starts_seen != self._origins.starts_count:
            self._starts_seen = self._origins.starts_count
            self._processes = frozenset(self._ours(list(_processes())))
        return self._processes

    def _ours(self, found: list[_Process]) -> Iterator[Alive]:
        """Those below us, and those with our mark, whoever is their parent by now."""
        below, grows = {os.getpid()}, True
        while grows:
            more = {one.pid for one in found if one.parent in below} - below
            below |= more
            grows = bool(more)
        for one in found:
            is_young = one.began >= self._began and one.pid != os.getpid()
            if one.state != _ZOMBIE and (
                (one.pid in below and one.pid != os.getpid())
                or (is_young and self._mark in _read(f"/proc/{one.pid}/environ", before=b"\0"))
            ):
                yield self._process(one)

    def _process(self, one: _Process) -> Alive:
        said = _read(f"/proc/{one.pid}/cmdline").replace(b"\0", b" ").decode(errors="replace")
        known = self._origins.processes
        ancestors = (known.get(pid) for pid in (one.parent, one.session, *reversed(known)))
        where = known.get(one.pid) or f"what was started at {next(filter(None, ancestors), '?')}"
        return Alive("process", (one.pid, one.began), f"{one.pid} ({said.strip()[:200]})", where)

    def _threads(self) -> Iterator[Alive]:
        for one in threading.enumerate():
            target = getattr(one, "_target", None)
            if str(getattr(target, "__module__", "")).startswith(_LIBRARIES):
                continue
            where = self._origins.threads.get(one, "a library")
            yield Alive("thread", (one.ident,), repr(one.name), where)

    def _listening(self) -> Iterator[Alive]:
        """The kernel's lists are long: they are read only for sockets that were not seen before."""
        mine = _own_sockets()
        if new := mine - self._sockets.keys():
            found = dict(_listeners(new))
            self._sockets |= {inode: found.get(inode) for inode in new}
        self._sockets = {inode: self._sockets[inode] for inode in mine}
        where = {
            os.fstat(one.fileno()).st_ino: began
            for one, began in self._origins.sockets.items()
            if one.fileno() >= 0
        }
        for inode, address in self._sockets.items():
            if address is not None:
                said = f"that listens on {address or 'no address'}"
                yield Alive("socket", (inode,), said, where.get(inode, "a library"))

    def _folders(self) -> Iterator[Alive]:
        for path, where in list(self._origins.folders.items()):
            if Path(path).exists():
                yield Alive("folder", (path,), path, where)
            else:
                del self._origins.folders[path]


def _processes() -> Iterator[_Process]:
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and (stat := _stat(int(entry.name))):
            yield _Process(int(entry.name), int(stat[1]), int(stat[3]), int(stat[19]), stat[0])


def _began(pid: int) -> int:
    return int(_stat(pid)[19])


def _stat(pid: int) -> list[str]:
    """What stands behind the name, which may hold anything."""
    return _read(f"/proc/{pid}/stat").decode(errors="replace").rpartition(") ")[2].split()


def _read(path: str, before: bytes = b"") -> bytes:
    """Nothing of a process that is gone, or another user's."""
    try:
        return before + Path(path).read_bytes()
    except OSError:
        return b""


def _own_sockets() -> frozenset[int]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                found.add(int(target[8:-1]))
    return frozenset(found)


def _listeners(inodes: frozenset[int]) -> Iterator[tuple[int, str]]:
    for table, (state, inode, listening) in _NET.items():
        for line in _read(f"/proc/self/net/{table}").decode().splitlines()[1:]:
            columns = line.split()
            if columns[state] == listening and int(columns[inode]) in inodes:
                is_unix = table == "unix"
                where = "".join(columns[7:]) if is_unix else _address(columns[1])
                yield int(columns[inode]), where


def _address(text: str) -> str:
    """127.0.0.1:8200 of 0100007F:2008: the kernel writes words as the machine has them."""
    host, _, port = text.partition(":")
    words = (bytes.fromhex(host[at : at + 8])[::-1] for at in range(0, len(host), 8))
    found = ipaddress.ip_address(b"".join(words))
    return f"{getattr(found, 'ipv4_mapped', None) or found}:{int(port, 16)}"
