"""What operators may change, and what becomes of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from services.control.traffic_policy.ledger import KEPT_MAX
from tandem.control.v1 import traffic_policy_pb2 as nouns
from tandem.control.v1 import traffic_policy_service_pb2 as pb
from tandemkit.core.clock import SystemClock
from tandemkit.testing.parts import short_folder
from tests.unit.services.control.traffic_policy.policies import (
    FILES,
    NOTE,
    TOOLBOX,
    Caller,
    failure,
    faulty,
    policies,
    policies_at,
    shares,
)

CODE = grpc.StatusCode


async def test_a_fresh_fleet_has_an_empty_policy(tmp_path: Path) -> None:
    """Version 0, which is what the first writer expects."""
    async with policies(tmp_path) as caller:
        assert await caller.version() == 0
        assert await caller.get() == nouns.TrafficPolicy()
        assert await caller.changes() == []
        assert await caller.set(shares(v1=90, v2=10), expected_version=0) == 1


async def test_a_service_gets_its_policy_and_others_keep_theirs(tmp_path: Path) -> None:
    """What is not in the new one is gone; one with nothing in it removes it."""
    async with policies(tmp_path) as caller:
        await caller.set(shares(TOOLBOX, v1=1))
        await caller.set(shares(FILES, v1=90, v2=10))
        await caller.set(faulty(FILES))
        assert list((await caller.get()).services) == [faulty(FILES), shares(TOOLBOX, v1=1)]
        assert await caller.set(nouns.ServicePolicy(service=FILES)) == 4
        assert list((await caller.get()).services) == [shares(TOOLBOX, v1=1)]


async def test_what_is_so_already_makes_no_new_version(tmp_path: Path) -> None:
    """So a caller that heard no answer may ask again, even for the version that it then made."""
    async with policies(tmp_path) as caller:
        assert await caller.set(shares(v1=1), expected_version=0) == 1
        assert await caller.set(shares(v1=1), expected_version=0) == 1
        assert await caller.drain("hosts/a") == 2
        assert await caller.drain("hosts/a") == 2
        assert len(await caller.changes()) == 2


async def test_a_writer_who_knew_another_version_is_told_the_true_one(tmp_path: Path) -> None:
    """Nothing is changed, and the history does not show the attempt."""
    async with policies(tmp_path) as caller:
        await caller.set(shares(v1=1))
        for call in (
            caller.set(shares(v2=1), expected_version=0),
            caller.replace(nouns.TrafficPolicy(client_calls_max=5), 7),
            caller.drain("hosts/a", expected_version=2),
            caller.undo(1, expected_version=2),
        ):
            refused = await failure(call)
            assert (refused.code, refused.reason) == (CODE.ABORTED, "VERSION_CONFLICT")
            assert refused.metadata == {"latest_version": "1"}
        assert len(await caller.changes()) == 1


async def test_writers_at_once_all_get_their_change(tmp_path: Path) -> None:
    """Who does not care for the version is overtaken and goes on from what is there."""
    async with policies(tmp_path) as caller:
        names = [f"hosts/h{number}" for number in range(20)]
        versions = await asyncio.gather(*map(caller.drain, names))
        assert sorted(versions) == list(range(1, 21))
        assert list((await caller.get()).drained_hosts) == sorted(names)


async def test_of_writers_who_expected_the_same_version_one_wins(tmp_path: Path) -> None:
    """The others hear of a conflict."""
    async with policies(tmp_path) as caller:

        async def write(number: int) -> int | str:
            try:
                return await caller.drain(f"hosts/h{number}", expected_version=0)
            except grpc.aio.AioRpcError as error:
                return error.code().name

        outcomes = await asyncio.gather(*map(write, range(10)))
        assert sorted(map(str, outcomes)) == ["1", *["ABORTED"] * 9]


async def test_a_drained_host_returns(tmp_path: Path) -> None:
    """And one that was never drained stays as it is."""
    async with policies(tmp_path) as caller:
        await caller.drain("hosts/a")
        request = pb.ReturnHostRequest(host="hosts/a", note=NOTE)
        assert (await caller.stub.ReturnHost(request)).version == 2
        assert (await caller.stub.ReturnHost(request)).version == 2
        assert list((await caller.get()).drained_hosts) == []


async def test_the_history_says_who_changed_what_and_when(tmp_path: Path) -> None:
    """The latest first, each with how it differs from the one before."""
    async with policies(tmp_path) as caller:
        began = SystemClock().now()
        await caller.set(shares(v1=1))
        note = nouns.ChangeNote(author="ben", reason="canary")
        both = [shares(FILES, v1=90, v2=10), faulty(TOOLBOX)]
        policy = nouns.TrafficPolicy(services=both, drained_hosts=["hosts/a"], client_calls_max=9)
        await caller.replace(policy, 1, note=note)
        latest, first = await caller.changes()
    assert (first.version, first.note, list(first.drained_hosts)) == (1, NOTE, [])
    assert first.services == [nouns.ServicePolicyChange(after=shares(v1=1))]
    assert (latest.version, latest.note) == (2, note)
    assert latest.peer.startswith("unix:")
    assert latest.services == [
        nouns.ServicePolicyChange(before=shares(v1=1), after=both[0]),
        nouns.ServicePolicyChange(after=both[1]),
    ]
    assert list(latest.drained_hosts) == ["hosts/a"]
    assert (latest.client_calls_max_before, latest.client_calls_max_after) == (0, 9)
    age = latest.time.ToDatetime(tzinfo=began.tzinfo) - began
    assert timedelta() <= age < timedelta(seconds=60)


async def test_a_history_comes_in_pages(tmp_path: Path) -> None:
    """A change that is made in between moves no page."""
    async with policies(tmp_path) as caller:
        for number in range(5):
            await caller.drain(f"hosts/h{number}")
        first = await caller.stub.ListPolicyChanges(pb.ListPolicyChangesRequest(page_size=2))
        await caller.drain("hosts/late")
        token = first.next_page_token
        rest = await caller.stub.ListPolicyChanges(pb.ListPolicyChangesRequest(page_token=token))
        assert [one.version for one in first.changes] == [5, 4]
        assert [one.version for one in rest.changes] == [3, 2, 1]
        assert rest.next_page_token == ""
        refused = await failure(caller.changes(page_token="AAAA"))
        assert (refused.code, refused.reason) == (CODE.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_one_call_undoes_the_last_change(tmp_path: Path) -> None:
    """That is a change too, so a second call takes it back."""
    async with policies(tmp_path) as caller:
        await caller.set(shares(v1=1))
        await caller.set(faulty())
        assert await caller.undo() == 3
        assert list((await caller.get()).services) == [shares(v1=1)]
        assert (await caller.changes())[0].undone_version == 2
        assert await caller.undo() == 4
        assert list((await caller.get()).services) == [faulty()]


async def test_an_earlier_change_is_undone_with_the_later_ones(tmp_path: Path) -> None:
    """The policy is what it was before it, in one step; asked for twice, it is so already."""
    async with policies(tmp_path) as caller:
        await caller.set(shares(v1=1))
        await caller.set(faulty())
        await caller.drain("hosts/a")
        request = pb.UndoPolicyChangeRequest(version=2, note=NOTE)
        done = await caller.stub.UndoPolicyChange(request)
        assert (done.version, done.undone_version) == (4, 2)
        assert await caller.get() == await caller.get(1)
        assert await caller.undo(2) == 4
        assert await caller.undo(1) == 5
        assert await caller.get() == nouns.TrafficPolicy()


@pytest.mark.parametrize("version", [0, 1, 7])
async def test_a_change_that_never_was_cannot_be_undone(tmp_path: Path, version: int) -> None:
    """Nor read."""
    async with policies(tmp_path) as caller:
        refused = await failure(caller.undo(version))
        assert (refused.code, refused.reason) == (CODE.NOT_FOUND, "CHANGE_NOT_FOUND")
        if version:
            assert (await failure(caller.get(version))).reason == "CHANGE_NOT_FOUND"


async def test_policy_and_history_outlive_a_restart(tmp_path: Path) -> None:
    """And can be undone as before."""
    async with policies(tmp_path) as caller:
        await caller.set(shares(v1=1))
        await caller.set(shares(v1=1, v2=1))
    async with policies(tmp_path) as caller:
        assert [one.version for one in await caller.changes()] == [2, 1]
        assert await caller.undo() == 3
        assert list((await caller.get()).services) == [shares(v1=1)]


async def test_watchers_are_told_the_policy_and_each_change(tmp_path: Path) -> None:
    """Those at another control too, which shares the registry."""
    with short_folder() as folder:
        first, second = f"unix:{folder}/first", f"unix:{folder}/second"
        async with (
            policies_at(first, tmp_path / "first"),
            policies_at(second, tmp_path / "second", registry=first),
            grpc.aio.insecure_channel(first) as here,
            grpc.aio.insecure_channel(second) as there,
        ):
            near, far = Caller(here), Caller(there)
            await near.drain("hosts/a")
            calls = [one.stub.WatchPolicy(pb.WatchPolicyRequest()) for one in (near, far)]
            for call in calls:
                told = await anext(aiter(call))
                assert (told.version, list(told.policy.drained_hosts)) == (1, ["hosts/a"])
            await far.drain("hosts/b")
            for call in calls:
                told = await anext(aiter(call))
                assert told.version == 2
                call.cancel()


def test_a_thousand_changes_are_kept() -> None:
    """As the contract says."""
    assert KEPT_MAX == 1000
