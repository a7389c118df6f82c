"""A control plane in the test's own process, for clients that call `xds:///tandem` in it too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.mesh.ads import DiscoveryServer
from tandemkit.mesh.bootstrap import VARIABLE, Node, bootstrap
from tandemkit.mesh.catalogue import Catalogue, Host, Placement
from tandemkit.mesh.policy import ServicePolicy, TrafficPolicy
from tandemkit.mesh.publication import Publication
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.parts import free_ports, short_folder

MACHINE, VERSION = "here", "blue"
_NO_POLICY = ServicePolicy()


@asynccontextmanager
async def control(
    address: str, contract: Contract, agent_port: int, policy: ServicePolicy = _NO_POLICY
) -> AsyncIterator[None]:
    """Tells whoever asks at `address` that the agent listens on that port of this machine, as a
    host of version VERSION, and under what policy it is called.
    """
    publication = Publication(SystemClock())
    service = contract.service.full_name
    host = Host("one", "one", MACHINE, "127.0.0.1", agent_port, (Placement(service),), VERSION)
    catalogue = Catalogue((host,), (contract,), front=service)
    publication.publish(catalogue, TrafficPolicy({service: policy}))
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


@asynccontextmanager
async def known_control(contract: Contract) -> AsyncIterator[int]:
    """The same for a whole run of tests: what this process calls at `xds:///tandem` goes to the
    port that is yielded, on which the agent of each test listens in turn.

    gRPC has one xDS client for each target. It lives on for a while behind the channels that used
    it, and what it was told is believed by the next: so nothing that it is told may change.
    """
    (agent_port,) = free_ports(1)
    with short_folder() as folder, pytest.MonkeyPatch.context() as patch:
        address = f"unix:{folder}/control.sock"
        patch.setenv(VARIABLE, bootstrap(Node(MACHINE, MACHINE), [address]))
        async with control(address, contract, agent_port):
            yield agent_port
