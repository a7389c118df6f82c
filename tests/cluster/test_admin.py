"""A client's own word on what it was told, against the control's."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from envoy.admin.v3.config_dump_shared_pb2 import ACKED
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc

from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandem.control.v1 import fleet_status_service_pb2_grpc as rpc
from tandemkit.testing.parts import short_folder
from tests.cluster.controlled import MACHINE, controlled
from tests.cluster.eventually import eventually
from tests.cluster.mesh.trial_fleet import Client

pytestmark = pytest.mark.cluster


@dataclass
class Words:
    """What a client and the control say of one conversation."""

    client: csds_pb2.ClientConfig
    control: pb.Subscriber

    @property
    def agree(self) -> bool:
        """Everything is accepted, and of what comes as one resource the versions are the same."""
        accepted = {one.type: one.accepted_version for one in self.control.subscriptions}
        theirs = self.client.generic_xds_configs
        return {one.client_status for one in theirs} == {ACKED} and all(
            accepted[one.type_url.rpartition("/")[2]] == one.version_info
            for one in theirs
            if one.name == "tandem"
        )


async def words(client: Client, control: grpc.aio.Channel) -> Words:
    csds: Any = csds_pb2_grpc.ClientStatusDiscoveryServiceStub(client.channel)
    told = await csds.FetchClientStatus(csds_pb2.ClientStatusRequest())
    status = rpc.FleetStatusServiceStub(control)
    known = await status.ListSubscribers(pb.ListSubscribersRequest())
    (config,), (subscriber,) = told.config, known.subscribers
    return Words(config, subscriber)


async def test_a_client_and_the_control_agree_on_what_was_accepted() -> None:
    """All four types; listener and routes in the version that the control has written down."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(short_folder())
        fleet = await stack.enter_async_context(controlled(folder))
        await fleet.start_host("a")
        client = await fleet.client()
        await client.until_only("Alpha/Ask", "a")
        channel = await stack.enter_async_context(fleet.at("control"))
        both = await eventually(lambda: words(client, channel), lambda found: found.agree)
    assert both.client.node.id == both.control.node
    assert both.client.node.locality.zone == both.control.machine == MACHINE
    kinds = {one.type_url.rpartition("/")[2] for one in both.client.generic_xds_configs}
    assert kinds == {one.type for one in both.control.subscriptions}
    assert len(kinds) == 4
    assert [one.refusal for one in both.control.subscriptions] == [""] * 4
