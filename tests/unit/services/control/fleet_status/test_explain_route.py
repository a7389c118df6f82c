"""What decided a call, asked of control: now, before a change of policy, and too long ago."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as rpc
from tandemkit.testing.failures import failure_of
from tandemkit.testing.parts import short_folder
from tests.cluster.mesh.trial_contract import ALPHA
from tests.unit.services.control.fleet_status.fleet import control, host, registered
from tests.unit.services.control.fleet_status.test_agent import client_of
from tests.unit.services.control.fleet_status.test_policy_in_force import drain


async def explain(channel: grpc.aio.Channel, **said: Any) -> pb.ExplainRouteResponse:
    request = pb.ExplainRouteRequest(method=f"{ALPHA}/Ask", caller_machine="laptop", **said)
    return await rpc.FleetStatusServiceStub(channel).ExplainRoute(request)


def endpoints(told: pb.ExplainRouteResponse) -> list[str]:
    return [one.host for target in told.route.targets for one in target.endpoints]


def left_out(told: pb.ExplainRouteResponse) -> dict[str, pb.AbsentHost.Cause.ValueType]:
    return {one.host: one.cause for one in told.route.left_out}


async def test_what_was_told_before_a_change_is_still_known() -> None:
    """By its time: the revision, the policy, the endpoints, and who was left out."""
    with short_folder() as folder:
        async with (
            control(folder) as channel,
            client_of(channel) as client,
            registered(channel, host("a", 1)),
            registered(channel, host("b", 2)),
        ):
            await client.until(1, 2)
            before = await explain(channel)
            assert endpoints(before) == ["hosts/a", "hosts/b"]
            await drain(channel, "hosts/a")
            await client.until(2)
            after = await explain(channel)
            then = await explain(channel, time=before.since_time)
    assert after.revision > before.revision == then.revision
    assert (then.policy_version, after.policy_version) == (0, 1)
    assert (endpoints(then), left_out(then)) == (["hosts/a", "hosts/b"], {})
    assert endpoints(after) == ["hosts/b"]
    assert left_out(after) == {"hosts/a": pb.AbsentHost.CAUSE_DRAINED}
    assert then.HasField("until_time")
    assert not after.HasField("until_time")


async def test_a_host_that_left_is_told_as_such(tmp_path: Path) -> None:
    """Its place is kept for a minute, and the reason with it."""
    async with (
        control(tmp_path) as channel,
        client_of(channel) as client,
        registered(channel, host("a", 1)),
    ):
        async with registered(channel, host("b", 2)):
            await client.until(1, 2)
        await client.until(1)
        assert left_out(await explain(channel)) == {"hosts/b": pb.AbsentHost.CAUSE_LEFT}


async def test_a_time_before_control_began_is_refused(tmp_path: Path) -> None:
    """With the moment at which what it knows begins."""
    async with (
        control(tmp_path) as channel,
        client_of(channel) as client,
        registered(channel, host("a", 1)),
    ):
        await client.until(1)
        request = pb.ExplainRouteRequest(method=f"{ALPHA}/Ask")
        request.time.FromSeconds(1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rpc.FleetStatusServiceStub(channel).ExplainRoute(request)
    failed = failure_of(caught.value)
    assert failed.reason == "PUBLICATION_FORGOTTEN"
    assert failed.metadata["since"]


async def test_a_time_of_no_calendar_is_refused(tmp_path: Path) -> None:
    """It is the caller's mistake and no defect."""
    async with control(tmp_path) as channel:
        for seconds in (-(10**17), 10**17):
            request = pb.ExplainRouteRequest(method=f"{ALPHA}/Ask")
            request.time.seconds = seconds
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await rpc.FleetStatusServiceStub(channel).ExplainRoute(request)
            assert failure_of(caught.value).reason == "PUBLICATION_FORGOTTEN"
