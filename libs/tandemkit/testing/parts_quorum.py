"""Three real Consul servers that elect one of them, each of which can be killed and come back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tandemkit.supervise.processes import Command, Process, supervised_process
from tandemkit.testing.parts import demand, fetch, free_ports, short_folder

SERVERS = 3
_OFF = ("serf-wan", "dns", "grpc", "grpc-tls")


class QuorumServer:
    """One of them, which has on disk what it voted for."""

    def __init__(self, program: Path, folder: Path, ports: Sequence[int], peers: str) -> None:
        http, self._raft, serf = ports
        self.url = f"http://127.0.0.1:{http}"
        listen = [f"-http-port={http}", f"-server-port={self._raft}", f"-serf-lan-port={serf}"]
        listen += [f"-{name}-port=-1" for name in _OFF]
        name = folder.name
        config = folder / "consul.json"
        # The lowest multiplier there is: how patient a server is before it stands for election.
        config.write_text(json.dumps({"performance": {"raft_multiplier": 1}}))
        together = (f"-bootstrap-expect={SERVERS}", f"-retry-join={peers}", "-retry-interval=1s")
        keep = (f"-data-dir={folder}/state", f"-config-file={config}", "-disable-host-node-id")
        argv = (str(program), "agent", "-server", "-bind=127.0.0.1", f"-node={name}")
        command = (*argv, *together, *keep, *listen)
        self._command = Command(command, folder / "log", cwd=folder, grace_s=0.5)
        self._running = AsyncExitStack()
        self._process: Process | None = None

    async def start(self) -> None:
        """Returns once it knows who leads."""
        started = supervised_process(self._command, ready=self._is_led)
        self._process = await self._running.enter_async_context(started)

    async def kill(self) -> None:
        """As kill -9 does: nobody is told."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self.stop()

    async def stop(self) -> None:
        await self._running.aclose()

    async def leads(self) -> bool:
        """Whether the others follow it."""
        return (await self._leader()).endswith(f":{self._raft}")

    async def _leader(self) -> str:
        said: str = json.loads(await fetch(f"{self.url}/v1/status/leader"))
        return said

    async def _is_led(self) -> None:
        if not await self._leader():
            raise ConnectionError
        await fetch(f"{self.url}/v1/catalog/nodes?consistent")


@asynccontextmanager
async def consul_quorum() -> AsyncIterator[Sequence[QuorumServer]]:
    """Skips where Consul is absent."""
    program = demand("consul")["consul"]
    ports = [free_ports(3) for _ in range(SERVERS)]
    with short_folder() as folder:
        servers = []
        for number, own in enumerate(ports):
            home = folder / f"server-{number}"
            home.mkdir()
            peer = f"127.0.0.1:{ports[(number + 1) % SERVERS][2]}"
            servers.append(QuorumServer(program, home, own, peer))
        try:
            await asyncio.gather(*(one.start() for one in servers))
            yield servers
        finally:
            await asyncio.gather(*(one.stop() for one in servers))
