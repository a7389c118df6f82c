"""From a change of the policy to what clients are told, with all of control in one host."""

from __future__ import annotations

from pathlib import Path

import grpc

from tandem.control.config.v1 import fleet_status_pb2 as cfg
from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as rpc
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.control.v1 import traffic_policy_pb2 as nouns
from tandem.control.v1 import traffic_policy_service_pb2 as policy_pb
from tandem.control.v1 import traffic_policy_service_pb2_grpc as policy_rpc
from tandemkit.mesh.kept_policy import POLICY_KEY, POLICY_SCHEMA
from tandemkit.testing.parts import short_folder
from tests.cluster.eventually import eventually
from tests.cluster.mesh.trial_contract import ALPHA
from tests.unit.services.control.fleet_status.fleet import (
    control,
    control_at,
    host,
    registered,
)
from tests.unit.services.control.fleet_status.test_agent import client_of

NOTE = nouns.ChangeNote(author="ana", reason="trying")


async def drain(channel: grpc.aio.Channel, name: str) -> None:
    stub = policy_rpc.TrafficPolicyServiceStub(channel)
    await stub.DrainHost(policy_pb.DrainHostRequest(host=name, note=NOTE))


async def undo(channel: grpc.aio.Channel) -> None:
    stub = policy_rpc.TrafficPolicyServiceStub(channel)
    await stub.UndoPolicyChange(policy_pb.UndoPolicyChangeRequest(note=NOTE))


async def publication(channel: grpc.aio.Channel) -> pb.GetPublicationResponse:
    stub = rpc.FleetStatusServiceStub(channel)
    return await stub.GetPublication(pb.GetPublicationRequest())


async def test_a_drained_host_leaves_the_mesh_and_stays_registered(tmp_path: Path) -> None:
    """Until the drain is undone."""
    async with (
        control(tmp_path) as channel,
        client_of(channel) as client,
        registered(channel, host("a", 1)),
        registered(channel, host("b", 2)),
    ):
        await client.until(1, 2)
        await drain(channel, "hosts/a")
        await client.until(2)
        agents = await rpc.FleetStatusServiceStub(channel).ListAgents(pb.ListAgentsRequest())
        found = {one.host: one.drained for one in agents.agents[0].instances}
        assert found == {"hosts/a": True, "hosts/b": False}
        assert (await publication(channel)).policy_version == 1
        await undo(channel)
        await client.until(1, 2)


async def test_a_restarted_control_tells_by_the_policy_from_the_first_word(tmp_path: Path) -> None:
    """A client that connects then never hears of the drained host."""
    async with control(tmp_path) as channel, registered(channel, host("a", 1)):
        await drain(channel, "hosts/a")
    async with (
        control(tmp_path) as channel,
        registered(channel, host("a", 1)),
        registered(channel, host("b", 2)),
        client_of(channel) as client,
    ):
        await client.until(2)
        assert (await publication(channel)).policy_version == 1


async def test_another_control_tells_by_the_same_policy(tmp_path: Path) -> None:
    """Wherever it was changed."""
    with short_folder() as folder:
        first, second = f"unix:{folder}/first", f"unix:{folder}/second"
        settings = cfg.FleetStatusSettings(registry=first)
        async with (
            control_at(first, tmp_path / "first"),
            control_at(second, tmp_path / "second", settings),
            grpc.aio.insecure_channel(first) as here,
            grpc.aio.insecure_channel(second) as there,
            registered(here, host("a", 1)),
            registered(here, host("b", 2)),
            client_of(here) as near,
            client_of(there) as far,
        ):
            await near.until(1, 2)
            await far.until(1, 2)
            await drain(there, "hosts/a")
            await near.until(2)
            await far.until(2)
            await undo(here)
            await near.until(1, 2)
            await far.until(1, 2)


async def test_a_policy_that_clients_would_refuse_is_not_told_and_shows(tmp_path: Path) -> None:
    """Somebody wrote it past the agent; the fleet is told on as before."""
    shares = [nouns.VersionShare(version=label, weight=2**31 - 1) for label in ("a", "b", "c")]
    bad = nouns.TrafficPolicy(services=[nouns.ServicePolicy(service=ALPHA, shares=shares)])
    record = nouns.PolicyRecord(policy=bad, change=nouns.PolicyChange(version=7))
    value = registry.StoredValue(schema=POLICY_SCHEMA, content=record.SerializeToString())
    async with (
        control(tmp_path) as channel,
        client_of(channel) as client,
        registered(channel, host("a", 1)),
    ):
        await client.until(1)
        put = registry.PutValueRequest(key=POLICY_KEY, value=value)
        await registry_rpc.RegistryServiceStub(channel).PutValue(put)
        told = await eventually(lambda: publication(channel), lambda one: bool(one.refusals))
        assert (told.policy_version, told.latest_policy_version) == (0, 7)
        assert "too much" in told.refusals[0]
        async with registered(channel, host("b", 2)):
            await client.until(1, 2)
