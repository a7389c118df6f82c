"""Answers that hold messages of any type, and how they are shown where nobody knows the type."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.json_format import MessageToDict

from tandem.control.v1.traffic_policy_pb2 import ChangeNote
from tandem.fleet.v1 import plan_pb2
from tandemkit.cli.image_pool import Pools, pool_of
from tandemkit.core.environment import Environment


def shown(plan: plan_pb2.Plan, server: Any) -> Any:
    pools: Any = Pools(server, Environment.read({"HOME": "/"}))
    pools.close_unknown(plan)
    told = MessageToDict(plan, descriptor_pool=pools)
    return told["machines"][0]["hosts"][0]["agents"][0]["settings"]


def planned() -> plan_pb2.Plan:
    plan = plan_pb2.Plan()
    agent = plan.machines.add().hosts.add().agents.add()
    agent.settings.Pack(ChangeNote(author="ana"))
    return plan


def test_a_type_that_the_server_knows_is_shown_as_fields() -> None:
    """As protobuf's JSON has it."""
    assert shown(planned(), ChangeNote.DESCRIPTOR.file.pool) == {
        "@type": "type.googleapis.com/tandem.control.v1.ChangeNote",
        "author": "ana",
    }


def test_a_type_that_nobody_knows_is_shown_as_bytes() -> None:
    """With its name, and the rest of the answer is shown as ever."""
    plan = planned()
    plan.machines[0].hosts[0].agents[0].settings.type_url = "type.googleapis.com/acme.v1.Unknown"
    told = shown(plan, pool_of(FileDescriptorSet()))
    assert told["@type"] == "type.googleapis.com/google.protobuf.Struct"
    assert told["value"] == {
        "type_url": "type.googleapis.com/acme.v1.Unknown",
        "base64": "CgNhbmE=",
    }
