"""A control plane for a benchmark of calls through `xds:///tandem`, and the process that may ask
it: gRPC reads where its control plane is from the environment, once.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.mesh.ads import DiscoveryServer
from tandemkit.mesh.bootstrap import VARIABLE, Node, bootstrap
from tandemkit.mesh.catalogue import Catalogue, Host, Placement
from tandemkit.mesh.publication import Publication
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.supervise.tasks import Tasks

MACHINE = "bench"


def run_again(script: str, arguments: Sequence[str]) -> int:
    """Runs `script` in a process that knows a control plane: `--control` says where it is to be."""
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        address = f"unix:{folder}/control.sock"
        told = bootstrap(Node(MACHINE, MACHINE), [address])
        environment = {**Environment.read().variables, VARIABLE: told}
        argv = [sys.executable, script, *arguments, "--control", address]
        return subprocess.run(argv, env=environment, check=False).returncode


@asynccontextmanager
async def control(address: str, contract: Contract, agent_port: int) -> AsyncIterator[None]:
    """Tells whoever asks at `address` that the agent listens on that port of this machine."""
    publication = Publication(SystemClock())
    service = contract.service.full_name
    host = Host("bench", "bench", MACHINE, "127.0.0.1", agent_port, (Placement(service),))
    publication.publish(Catalogue((host,), (contract,), front=service))
    server = Server()
    discovery = DiscoveryServer(publication)
    server.also(discovery.generic_handler(), discovery.close)
    async with Tasks() as tasks:
        tasks.spawn("publication", publication.run())
        await server.start(address)
        try:
            yield
        finally:
            await server.drain(0)
