from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from services.control.registry.agent import AGENT
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock
from tests.unit.services.control.registry.hosts import failure, host

CODE = grpc.StatusCode
VALUE = pb.StoredValue(schema="tandem.control.v1.Host", content=host().SerializeToString())


async def campaign(
    registry: rpc.RegistryServiceAsyncStub, candidate: str
) -> pb.CampaignElectionResponse:
    request = pb.CampaignElectionRequest(election="elections/planner", candidate=candidate)
    return await registry.CampaignElection(request)


async def put(
    registry: rpc.RegistryServiceAsyncStub,
    expected: int | None = None,
    leadership: pb.Leadership | None = None,
) -> int:
    request = pb.PutValueRequest(
        key="policy/main", value=VALUE, expected_version=expected, leadership=leadership
    )
    response = await registry.PutValue(request)
    return response.version


async def test_one_leads_until_it_resigns_or_falls_silent(
    registry: rpc.RegistryServiceAsyncStub, clock: FakeClock
) -> None:
    """Each leader's token is above the last; who lost hears so."""
    first = (await campaign(registry, "a")).leadership
    assert (first.election, first.candidate) == ("elections/planner", "a")
    assert first.time_to_live.seconds == 10
    assert not (await campaign(registry, "b")).HasField("leadership")
    await clock.advance(9)
    await registry.KeepLeadership(pb.KeepLeadershipRequest(leadership=first))
    await clock.advance(9)
    await registry.ResignLeadership(pb.ResignLeadershipRequest(leadership=first))
    second = (await campaign(registry, "b")).leadership
    assert second.token > first.token
    await clock.advance(10)
    third = (await campaign(registry, "a")).leadership
    assert third.token > second.token
    lost = await failure(registry.KeepLeadership(pb.KeepLeadershipRequest(leadership=second)))
    assert (lost.code, lost.reason) == (CODE.FAILED_PRECONDITION, "LEADERSHIP_LOST")
    await registry.ResignLeadership(pb.ResignLeadershipRequest(leadership=second))
    await registry.KeepLeadership(pb.KeepLeadershipRequest(leadership=third))


async def test_a_frozen_leader_cannot_write_when_it_wakes(
    registry: rpc.RegistryServiceAsyncStub, clock: FakeClock
) -> None:
    """Its token is older than the next leader's, so its late write is refused."""
    frozen = (await campaign(registry, "a")).leadership
    await clock.advance(10)
    leader = (await campaign(registry, "b")).leadership
    version = await put(registry, leadership=leader)
    late = await failure(put(registry, leadership=frozen))
    assert (late.code, late.reason) == (CODE.FAILED_PRECONDITION, "LEADERSHIP_LOST")
    found = await registry.GetValue(pb.GetValueRequest(key="policy/main"))
    assert found.version == version


async def test_a_value_comes_back_as_it_was_written(registry: rpc.RegistryServiceAsyncStub) -> None:
    """With its schema, and a version that rises over each write and over its deletion."""
    first = await put(registry, expected=0)
    found = await registry.GetValue(pb.GetValueRequest(key="policy/main"))
    assert (found.value, found.version) == (VALUE, first)
    second = await put(registry, expected=first)
    await registry.DeleteValue(pb.DeleteValueRequest(key="policy/main", expected_version=second))
    await registry.DeleteValue(pb.DeleteValueRequest(key="policy/main"))
    gone = await failure(registry.GetValue(pb.GetValueRequest(key="policy/main")))
    assert (gone.code, gone.reason) == (CODE.NOT_FOUND, "VALUE_NOT_FOUND")
    assert first < second < await put(registry)


async def test_of_two_who_expected_the_same_version_one_writes(
    registry: rpc.RegistryServiceAsyncStub,
) -> None:
    """The other hears of a conflict, and so does who deletes what has changed."""
    first = await put(registry)
    await put(registry, expected=first)
    for stale in (first, 0):
        refused = await failure(put(registry, expected=stale))
        assert (refused.code, refused.reason) == (CODE.ABORTED, "VERSION_CONFLICT")
        assert refused.metadata == {"key": "policy/main"}
    stale_delete = pb.DeleteValueRequest(key="policy/main", expected_version=first)
    assert (await failure(registry.DeleteValue(stale_delete))).reason == "VERSION_CONFLICT"


@pytest.mark.parametrize(
    ("key", "content_bytes"), [("a//b", 1), ("../a", 1), ("a/", 1), ("large", 256 * 1024)]
)
async def test_what_no_backend_could_hold_is_refused(
    registry: rpc.RegistryServiceAsyncStub, key: str, content_bytes: int
) -> None:
    """Whichever backend is behind, so that a fleet may change it."""
    value = pb.StoredValue(schema="a.B", content=bytes(content_bytes))
    refused = await failure(registry.PutValue(pb.PutValueRequest(key=key, value=value)))
    assert (refused.code, refused.reason) == (CODE.INVALID_ARGUMENT, "NOT_STORABLE")
    assert list(refused.violations) == ["key"]


async def test_a_restart_keeps_values_versions_and_tokens(tmp_path: Path, clock: FakeClock) -> None:
    """What a writer was told still holds, and whoever led leads on."""
    async with serving(AGENT, state_dir=tmp_path, clock=clock) as channel:
        before = rpc.RegistryServiceStub(channel)
        version = await put(before)
        leader = (await campaign(before, "a")).leadership
    async with serving(AGENT, state_dir=tmp_path, clock=clock) as channel:
        after = rpc.RegistryServiceStub(channel)
        found = await after.GetValue(pb.GetValueRequest(key="policy/main"))
        assert (found.value, found.version) == (VALUE, version)
        assert not (await campaign(after, "b")).HasField("leadership")
        await after.KeepLeadership(pb.KeepLeadershipRequest(leadership=leader))
        assert await put(after, expected=version, leadership=leader) > version
        assert (await campaign(after, "a")).leadership.token > leader.token
