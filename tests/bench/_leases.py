"""Synthetic hosts that hold their leases at a real control, as hosts do: a stream each, renewed as
often. The leases last longer, for one process that stands for a thousand may be late.
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
from tandemkit.hosting.vouching import HEADER, Credential
from tandemkit.mesh.catalogue import Catalogue
from tandemkit.supervise.tasks import Tasks

_CLOCK = SystemClock()
_LASTS_S, _RENEWED_S = 30, LEASE_S / 3
# What is under way to a control that is just starting.
_AT_ONCE = 20


class HeldLease:
    """One host's. Steps go one at a time; a lease that ends is opened again, and counted."""

    def __init__(
        self, stub: rpc.RegistryServiceAsyncStub, host: nouns.Host, credential: Credential
    ) -> None:
        self.lost_count = 0
        self._stub, self._host, self._credential = stub, host, credential
        self._call: Any = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        opening = pb.HoldLeaseRequest(open=pb.HoldLeaseRequest.Open(host=self._host))
        opening.open.time_to_live.FromSeconds(_LASTS_S)
        self._call = self._stub.HoldLease(metadata=((HEADER, self._credential(self._host)),))
        await self._step(opening)

    async def change(self, host: nouns.Host) -> None:
        self._host = host
        await self._step(pb.HoldLeaseRequest(change=pb.HoldLeaseRequest.Change(host=host)))

    async def renew(self) -> None:
        while True:
            await _CLOCK.sleep(_RENEWED_S)
            try:
                await self._step(pb.HoldLeaseRequest(renew=pb.HoldLeaseRequest.Renew()))
            except grpc.aio.AioRpcError:
                self.lost_count += 1
                await self.open()

    async def _step(self, request: pb.HoldLeaseRequest) -> None:
        async with self._turn:
            await self._call.write(request)
            if await self._call.read() is grpc.aio.EOF:
                raise ConnectionError("control ended a lease")


class Registering:
    """Registers hosts at one control, and renews until its tasks end."""

    def __init__(self, channel: grpc.aio.Channel, tasks: Tasks, credential: Credential) -> None:
        self.stub = rpc.RegistryServiceStub(channel)
        self._tasks, self._credential = tasks, credential
        self._leases: list[HeldLease] = []

    @property
    def lost_count(self) -> int:
        """Leases that ended though their hosts were there: control or this process was too slow."""
        return sum(one.lost_count for one in self._leases)

    async def add(self, host: nouns.Host) -> HeldLease:
        lease = HeldLease(self.stub, host, self._credential)
        await lease.open()
        self._leases.append(lease)
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
