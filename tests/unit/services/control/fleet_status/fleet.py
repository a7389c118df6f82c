"""Hosts of the trial agents as they register, and a control that they register with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.registry.agent import AGENT as REGISTRY
from services.control.traffic_policy.agent import AGENT as TRAFFIC_POLICY
from tandem.control.config.v1 import fleet_status_pb2 as cfg
from tandem.control.config.v1 import registry_pb2, traffic_policy_pb2
from tandem.control.v1 import fleet_status_service_pb2
from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock, SystemClock
from tandemkit.hosting.contracts import StoredContract, keep_contracts
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.rpc.contract import Contract
from tandemkit.testing.parts import short_folder
from tests.cluster.mesh.trial_contract import ALPHA, ALPHA_FILE, BETA_FILE

# Streams end by themselves when asked to, long before it.
GRACE_S = 5.0
_CLOCK = SystemClock()
STORED = {
    Contract.of(file).service.full_name: StoredContract.of(file)
    for file in (ALPHA_FILE, BETA_FILE, fleet_status_service_pb2.DESCRIPTOR)
}


def placement(service: str = ALPHA, *, digest: str = "", **more: Any) -> nouns.Placement:
    """By default of the agent's true contract."""
    said = {"serving": True, **more}
    return nouns.Placement(
        service=service, contract_digest=digest or STORED[service].digest, **said
    )


def host(
    name: str,
    port: int,
    placements: Sequence[nouns.Placement] | None = None,
    *,
    group: str = "trial",
    address: str = "127.0.0.1",
) -> nouns.Host:
    return nouns.Host(
        name=f"hosts/{name}",
        machine="laptop",
        group=group,
        address=address,
        port=port,
        placements=placements if placements is not None else [placement()],
    )


@asynccontextmanager
async def control_at(
    address: str,
    state_dir: Path,
    settings: cfg.FleetStatusSettings | None = None,
    clock: Clock = _CLOCK,
) -> AsyncIterator[None]:
    """Registry, fleet status and traffic policy in one host, or without the registry where the
    settings name another one.
    """
    settings = settings or cfg.FleetStatusSettings()
    policy = traffic_policy_pb2.TrafficPolicySettings(registry=settings.registry)
    placed = [Placed(FLEET_STATUS, settings), Placed(TRAFFIC_POLICY, policy)]
    if not settings.registry:
        placed.insert(0, Placed(REGISTRY, registry_pb2.RegistrySettings()))
    async with hosting(placed, Place(address, state_dir, clock, GRACE_S)):
        yield


@asynccontextmanager
async def control(
    state_dir: Path, settings: cfg.FleetStatusSettings | None = None, clock: Clock = _CLOCK
) -> AsyncIterator[grpc.aio.Channel]:
    """The same, with a channel to it."""
    with short_folder() as folder:
        address = f"unix:{folder}/control"
        async with (
            control_at(address, state_dir, settings, clock),
            grpc.aio.insecure_channel(address) as channel,
        ):
            yield channel


@asynccontextmanager
async def registered(
    channel: grpc.aio.Channel, said: nouns.Host, ttl_s: int = 60
) -> AsyncIterator[Any]:
    """The stream that holds its lease; leaving the block gives it up, unless it was cancelled."""
    registry = rpc.RegistryServiceStub(channel)
    await keep_contracts(registry, tuple(STORED.values()))
    call: Any = registry.HoldLease()
    opening = pb.HoldLeaseRequest(open=pb.HoldLeaseRequest.Open(host=said))
    opening.open.time_to_live.FromSeconds(ttl_s)
    await call.write(opening)
    assert await call.read() is not grpc.aio.EOF
    yield call
    if not call.cancelled():
        await call.write(pb.HoldLeaseRequest(close=pb.HoldLeaseRequest.Close()))
        await call.read()
