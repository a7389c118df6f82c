"""Two networks of one box with a link between them that can be cut: packets are dropped, and nobody
is told.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tandemkit.supervise.processes import Command, supervised_process
from tandemkit.testing.parts import demand
from tests.cluster.eventually import eventually

WEST, EAST = "10.213.7.1", "10.213.7.2"
_RULES = """
table inet cut {
    chain in { type filter hook input priority 0; iifname "cable" drop; }
    chain out { type filter hook output priority 0; oifname "cable" drop; }
}
"""


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Both belong to a user namespace of their own, so whoever runs the test need not be root.
    Files and unix sockets are everybody's.
    """

    west_pid: int
    east_pid: int
    nft: str

    def into(self, address: str) -> tuple[str, ...]:
        """What stands before a command that runs where that address is."""
        return _into(self.west_pid if address == WEST else self.east_pid, "--net")

    async def cut(self) -> None:
        """From now on no packet passes, in either direction."""
        await _run(*self.into(EAST), self.nft, "-f", "-", said=_RULES)

    async def heal(self) -> None:
        await _run(*self.into(EAST), self.nft, "delete", "table", "inet", "cut")


@asynccontextmanager
async def two_namespaces(folder: Path) -> AsyncIterator[Namespaces]:
    """The link is up. Skips where nftables is absent; the kernel has to grant user namespaces."""
    programs = demand("nftables")
    ip, unshare = str(programs["ip"]), shutil.which("unshare") or "unshare"
    sleeping = ("sleep", "infinity")
    first = Command(
        (unshare, "--user", "--map-root-user", "--net", *sleeping), folder / "west.log", grace_s=0.5
    )
    async with supervised_process(first) as west:
        await _until_apart(west.pid)
        second = Command(
            (*_into(west.pid), unshare, "--net", *sleeping), folder / "east.log", grace_s=0.5
        )
        async with supervised_process(second) as east:
            await _until_apart(east.pid)
            found = Namespaces(west.pid, east.pid, str(programs["nft"]))
            link = (ip, "link")
            peer = ("peer", "name", "cable", "netns", str(east.pid))
            await _run(*found.into(WEST), *link, "add", "cable", "type", "veth", *peer)
            for address in (WEST, EAST):
                inside = found.into(address)
                await _run(*inside, ip, "address", "add", f"{address}/30", "dev", "cable")
                for device in ("lo", "cable"):
                    await _run(*inside, *link, "set", device, "up")
            yield found


def _into(pid: int, *kinds: str) -> tuple[str, ...]:
    nsenter = shutil.which("nsenter") or "nsenter"
    return (nsenter, f"--target={pid}", "--user", *kinds, "--preserve-credentials", "--")


async def _until_apart(pid: int) -> None:
    """Until the process has another network than ours: it makes it after it has started."""

    async def is_apart() -> bool:
        return _network_of(str(pid)) != _network_of("self")

    await eventually(is_apart)


def _network_of(process: str) -> Path:
    return Path(f"/proc/{process}/ns/net").readlink()


async def _run(*argv: str, said: str = "") -> None:
    await asyncio.to_thread(
        subprocess.run, argv, input=said, text=True, check=True, capture_output=True
    )
