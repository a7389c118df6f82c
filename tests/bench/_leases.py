"""Synthetic hosts that hold their leases at a real control, as hosts do: a stream each, renewed
every third of its time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc

from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.contracts import StoredContract, keep_contracts
from tandemkit.hosting.membership import LEASE_S
from tandemkit.mesh.catalogue import Catalogue
from tandemkit.supervise.tasks import Tasks

_CLOCK = SystemClock()
# What is under way to a control that is just starting.
_AT_ONCE = 20


class HeldLease:
    """One host's. Steps go one at a time."""

    def __init__(self, stub: rpc.RegistryServiceAsyncStub) -> None:
        self._call: Any = stub.HoldLease()
        self._turn = asyncio.Lock()

    async def open(self, host: nouns.Host) -> None:
        opening = pb.HoldLeaseRequest(open=pb.HoldLeaseRequest.Open(host=host))
        opening.open.time_to_live.FromMilliseconds(int(LEASE_S * 1000))
        await self._step(opening)

    async def change(self, host: nouns.Host) -> None:
        await self._step(pb.HoldLeaseRequest(change=pb.HoldLeaseRequest.Change(host=host)))

    async def renew(self) -> None:
        while True:
            await _CLOCK.sleep(LEASE_S / 3)
            await self._step(pb.HoldLeaseRequest(renew=pb.HoldLeaseRequest.Renew()))

    async def _step(self, request: pb.HoldLeaseRequest) -> None:
        async with self._turn:
            await self._call.write(request)
            if await self._call.read() is grpc.aio.EOF:
                raise ConnectionError("control ended a lease")


class Registering:
    """Registers hosts at one control, and renews until its tasks end."""

    def __init__(self, channel: grpc.aio.Channel, tasks: Tasks) -> None:
        self.stub = rpc.RegistryServiceStub(channel)
        self._tasks = tasks

    async def add(self, host: nouns.Host) -> HeldLease:
        lease = HeldLease(self.stub)
        await lease.open(host)
        self._tasks.spawn(host.name, lease.renew())
        return lease

    async def add_all(self, known: Catalogue) -> None:
        """The hosts of a catalogue, with their contracts."""
        stored = {
            one.service.full_name: StoredContract.of(one.service.file) for one in known.contracts
        }
        await keep_contracts(self.stub, tuple(stored.values()))
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one_by_one(host: nouns.Host) -> None:
            async with turns:
                await self.add(host)

        await asyncio.gather(*(one_by_one(host) for host in _registered(known, stored)))


def _registered(known: Catalogue, stored: dict[str, StoredContract]) -> Iterable[nouns.Host]:
    for host in known.hosts:
        placements = [
            nouns.Placement(
                service=one.service, serving=True, contract_digest=stored[one.service].digest
            )
            for one in host.placements
        ]
        yield nouns.Host(
            name=f"hosts/{host.name}",
            machine=host.machine,
            group=host.group,
            address=host.address,
            port=host.port,
            placements=placements,
        )
