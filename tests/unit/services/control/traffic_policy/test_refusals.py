"""What is refused, and that nothing of it is kept."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from services.control.traffic_policy.admission import objection_to
from tandem.control.v1 import traffic_policy_pb2 as nouns
from tandem.control.v1 import traffic_policy_service_pb2 as pb
from tandemkit.testing.parts import short_folder
from tests.unit.services.control.fleet_status.fleet import host, placement
from tests.unit.services.control.traffic_policy.policies import (
    FILES,
    Caller,
    failure,
    faulty,
    policies,
    policies_at,
    preferring,
    shares,
)

CODE = grpc.StatusCode
TWICE = nouns.ServicePolicy(service=FILES, shares=[nouns.VersionShare(version="a", weight=1)] * 2)
FORBIDDEN = ("X-Tester", ":path", "grpc-timeout", "x-tandem-instance", "a-bin", "", "te")


async def test_a_name_that_the_fleet_does_not_have_is_refused(tmp_path: Path) -> None:
    """With those that look like it; whoever means one that comes later says so."""
    async with policies(tmp_path) as caller:
        said = host("a", 1, [placement(FILES, digest="0" * 64)])
        said.version = "v1"
        await caller.register(said)
        misspelt = shares("tandem.utility.v1.FileService", v1=1)
        for call, kind, near in (
            (caller.set(misspelt, allow_absent=False), "service", FILES),
            (caller.set(shares(FILES, v1=9, v11=1), allow_absent=False), "version", "v1"),
            (caller.drain("hosts/aa", allow_absent=False), "host", "hosts/a"),
        ):
            refused = await failure(call)
            assert (refused.code, refused.reason) == (CODE.NOT_FOUND, "NOT_IN_FLEET")
            assert (refused.metadata["kind"], refused.metadata["near"]) == (kind, near)
        assert await caller.set(shares(FILES, v1=1, v2=0), allow_absent=False) == 1
        assert await caller.drain("hosts/a", allow_absent=False) == 2
        # What stands in the policy already may stay when its bearer is gone.
        assert await caller.set(shares(FILES, v1=1, v9=1)) == 3
        assert await caller.set(shares(FILES, v1=2, v9=1), allow_absent=False) == 4


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (shares(v1=0, v2=0), "policy"),
        (shares(v1=-1, v2=2), "policy.shares[0].weight"),
        (shares("FilesService", v1=1), "policy.service"),
        (TWICE, "policy"),
        (preferring("a", "a"), "policy"),
        *((preferring(header), "policy.preferences[0].header") for header in FORBIDDEN),
        (preferring("a", value=""), "policy.preferences[0].value"),
        (faulty(percent=0), "policy.fault.percent"),
        (faulty(percent=101), "policy.fault.percent"),
        (faulty(percent=float("nan")), "policy.fault.percent"),
        (faulty(abort_code=0), "policy.fault"),
        (faulty(abort_code=17), "policy.fault.abort_code"),
        (faulty(delay=Duration(seconds=301)), "policy.fault.delay"),
        (faulty(delay=Duration()), "policy.fault.delay"),
        (
            nouns.ServicePolicy(service=FILES, concurrent_calls_max=-1),
            "policy.concurrent_calls_max",
        ),
    ],
)
async def test_a_policy_that_means_nothing_is_refused(
    tmp_path: Path, policy: nouns.ServicePolicy, field: str
) -> None:
    """With the field at fault, before anything is asked of the registry."""
    async with policies(tmp_path) as caller:
        refused = await failure(caller.set(policy))
        assert refused.code is CODE.INVALID_ARGUMENT
        assert list(refused.violations) == [field]
        assert await caller.version() == 0


async def test_a_change_needs_an_author_and_a_reason(tmp_path: Path) -> None:
    """A history without them explains nothing."""
    async with policies(tmp_path) as caller:
        refused = await failure(caller.set(shares(v1=1), note=nouns.ChangeNote()))
        assert list(refused.violations) == ["note.author", "note.reason"]


@pytest.mark.parametrize(
    "policy",
    [
        faulty("tandem.control.v1.TrafficPolicyService"),
        nouns.ServicePolicy(service="tandem.control.v1.RegistryService", concurrent_calls_max=5),
    ],
)
async def test_what_could_not_be_taken_back_is_never_kept(
    tmp_path: Path, policy: nouns.ServicePolicy
) -> None:
    """A control that refuses its hosts' leases refuses its operators too."""
    async with policies(tmp_path) as caller:
        refused = await failure(caller.set(policy))
        assert (refused.code, refused.reason) == (CODE.INVALID_ARGUMENT, "POLICY_REFUSED")
        assert "undone" in refused.metadata["cause"]
        assert await caller.changes() == []


def test_what_clients_would_refuse_is_found_by_the_meshs_own_checks() -> None:
    """Whatever the rules on the fields let pass: here shares that gRPC cannot count."""
    assert objection_to(nouns.TrafficPolicy(services=[shares(v1=1)])) == ""
    assert "too much" in objection_to(
        nouns.TrafficPolicy(services=[shares(v1=2**31 - 1, v2=2**31 - 1, v3=2**31 - 1)])
    )
    assert "cannot be written" in objection_to(nouns.TrafficPolicy(services=[shares(v1=-1)]))


async def test_a_policy_does_not_outgrow_what_can_be_replaced(tmp_path: Path) -> None:
    """A part of it that is good by itself may be one too many; else nobody could set it whole."""
    async with policies(tmp_path) as caller:
        full = nouns.TrafficPolicy(drained_hosts=[f"hosts/h{number}" for number in range(500)])
        assert await caller.replace(full, 0) == 1
        refused = await failure(caller.drain("hosts/one-more"))
        assert (refused.code, refused.reason) == (CODE.INVALID_ARGUMENT, "POLICY_REFUSED")
        assert refused.metadata["cause"].startswith("drained_hosts")
        assert await caller.version() == 1


async def test_a_policy_that_the_registry_cannot_hold_is_refused(tmp_path: Path) -> None:
    """The one in force stays."""
    async with policies(tmp_path) as caller:
        preferred = [
            nouns.VersionPreference(header=f"h{number}", value="x" * 250, version="v")
            for number in range(50)
        ]
        many = [
            nouns.ServicePolicy(service=f"tandem.a{number}.v1.OneService", preferences=preferred)
            for number in range(20)
        ]
        refused = await failure(caller.replace(nouns.TrafficPolicy(services=many), 0))
        assert (refused.code, refused.reason) == (CODE.INVALID_ARGUMENT, "NOT_STORABLE")
        assert await caller.version() == 0


async def test_a_page_of_large_changes_fits_into_a_message(tmp_path: Path) -> None:
    """The rest is on the next one."""
    async with policies(tmp_path) as caller:
        for number in range(40):
            preferred = [
                nouns.VersionPreference(header=f"h{one}", value="x" * 250, version=f"v{number}")
                for one in range(50)
            ]
            many = [
                nouns.ServicePolicy(service=f"tandem.a{one}.v1.OneService", preferences=preferred)
                for one in range(5)
            ]
            await caller.replace(nouns.TrafficPolicy(services=many), number)
        request = pb.ListPolicyChangesRequest(page_size=100)
        first = await caller.stub.ListPolicyChanges(request)
        request.page_token = first.next_page_token
        second = await caller.stub.ListPolicyChanges(request)
    found = [one.version for one in (*first.changes, *second.changes)]
    assert found == list(range(40, 0, -1))
    assert second.next_page_token == ""


async def test_without_a_registry_nothing_is_promised(tmp_path: Path) -> None:
    """A caller may try again: what was not answered may have been done, and is then so already."""
    with short_folder() as folder:
        address = f"unix:{folder}/control"
        async with (
            policies_at(address, tmp_path, registry="127.0.0.1:1"),
            grpc.aio.insecure_channel(address) as channel,
        ):
            refused = await failure(Caller(channel).set(shares(v1=1)))
    assert (refused.code, refused.reason) == (CODE.UNAVAILABLE, "BACKEND_UNREACHABLE")
