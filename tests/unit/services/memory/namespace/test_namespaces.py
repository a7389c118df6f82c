"""Rules of namespaces, as those who own them change them."""

from __future__ import annotations

from typing import Any

import grpc

from tandem.memory.v1 import namespace_pb2 as nouns
from tandem.memory.v1 import namespace_service_pb2 as pb
from tandemkit.rpc.callers import HEADER
from tests.unit.services.memory.namespace.fleet import Fleet
from tests.unit.tandemkit.rpc.probed import refused

CODE = grpc.StatusCode
ADA = ((HEADER, "callers/ada"),)


def _put(name: str, *rules: tuple[str, nouns.Right.ValueType], **more: Any) -> Any:
    request = pb.PutNamespaceRequest(**more)
    request.namespace.name = f"namespaces/{name}"
    for pattern, right in rules:
        request.namespace.rules.add(callers=[pattern], right=right)
    return request


async def test_rules_are_put_read_and_listed(keeping: Fleet) -> None:
    """With versions, and the changes that made them."""
    first = await keeping.stub.PutNamespace(_put("team-b", ("callers/ada", nouns.RIGHT_READ)))
    second = await keeping.stub.PutNamespace(_put("team-a"))
    assert (first.version, second.version) == (1, 2)
    assert (await keeping.stub.PutNamespace(_put("team-a"))).version == 2
    listed = await keeping.stub.ListNamespaces(pb.ListNamespacesRequest())
    assert [one.name for one in listed.namespaces] == ["namespaces/team-a", "namespaces/team-b"]
    changes = await keeping.stub.ListAccessChanges(pb.ListAccessChangesRequest())
    assert [(one.version, one.about) for one in changes.changes] == [
        (2, "namespaces/team-a"),
        (1, "namespaces/team-b"),
    ]
    stale = _put("team-a", ("*", nouns.RIGHT_READ), expected_version=1)
    failed = await refused(keeping.stub.PutNamespace(stale))
    assert (failed.code, failed.reason) == (CODE.ABORTED, "RULES_CONFLICT")


async def test_a_namespace_without_rules_says_which_hold(keeping: Fleet) -> None:
    """And who asks, and what may he do."""
    request = pb.GetNamespaceRequest(name="namespaces/default")
    found = await keeping.stub.GetNamespace(request)
    assert (found.has_rules, found.caller, found.right) == (False, "operator", nouns.RIGHT_OWN)
    assert [list(rule.callers) for rule in found.namespace.rules] == [["agents/*"]]
    job = ((HEADER, "agents/tasks-job"),)
    assert (await keeping.stub.GetNamespace(request, metadata=job)).right == nouns.RIGHT_WRITE


async def test_who_has_no_right_learns_and_changes_nothing(keeping: Fleet) -> None:
    """Neither whether the namespace is there."""
    await keeping.stub.PutNamespace(_put("team-a"))
    for name in ("team-a", "not-there"):
        get = pb.GetNamespaceRequest(name=f"namespaces/{name}")
        failed = await refused(keeping.stub.GetNamespace(get, metadata=ADA))
        assert (failed.code, failed.reason) == (CODE.PERMISSION_DENIED, "NAMESPACE_FORBIDDEN")
        put = _put(name, ("callers/ada", nouns.RIGHT_OWN))
        failed = await refused(keeping.stub.PutNamespace(put, metadata=ADA))
        assert failed.metadata["caller"] == "callers/ada"
    listed = await keeping.stub.ListNamespaces(pb.ListNamespacesRequest(), metadata=ADA)
    assert not listed.namespaces


async def test_what_belongs_to_no_namespace_is_the_operators(keeping: Fleet) -> None:
    """Who owns one namespace revokes no keys and sees no changes of others."""
    calls = (
        keeping.stub.RevokeCaller(pb.RevokeCallerRequest(caller="eve"), metadata=ADA),
        keeping.stub.ListAccessChanges(pb.ListAccessChangesRequest(), metadata=ADA),
        keeping.stub.ExcuseKeepers(
            pb.ExcuseKeepersRequest(name="deletions/a", machine="m"), metadata=ADA
        ),
    )
    for call in calls:
        assert (await refused(call)).reason == "NAMESPACE_FORBIDDEN"
    assert (await keeping.stub.RevokeCaller(pb.RevokeCallerRequest(caller="eve"))).version == 1


async def test_rules_that_cannot_be_read_are_no_empty_rules(keeping: Fleet) -> None:
    """The registry is away, and the answer says so."""
    keeping.registry.is_away = True
    failed = await refused(keeping.stub.PutNamespace(_put("team-a")))
    assert (failed.code, failed.reason) == (CODE.UNAVAILABLE, "REGISTRY_UNREACHABLE")
