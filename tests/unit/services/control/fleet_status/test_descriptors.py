"""Contracts read back from what hosts stored."""

from __future__ import annotations

import hashlib

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodOptions

from services.control.fleet_status.descriptors import BrokenContract, contract_in
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.options.v1 import options_pb2 as options
from tandemkit.rpc.contract import Contract
from tests.cluster.mesh.trial_contract import ALPHA, ALPHA_FILE, BETA
from tests.unit.services.control.fleet_status.fleet import STORED


def files() -> FileDescriptorSet:
    return FileDescriptorSet.FromString(STORED[ALPHA].value.content)


def read(content: bytes, service: str = ALPHA) -> Contract:
    """As if a host had stored it under its true digest."""
    value = pb.StoredValue(schema="google.protobuf.FileDescriptorSet", content=content)
    return contract_in(value, hashlib.sha256(content).hexdigest(), service)


def test_all_that_a_route_needs_is_read_from_a_contract_of_another_pool() -> None:
    """Retry, deadline and affinity are those of the agent's own descriptors."""
    theirs, ours = read(files().SerializeToString()), Contract.of(ALPHA_FILE)
    assert theirs.service is not ours.service
    assert theirs.name == ours.name
    for one, other in zip(theirs.methods, ours.methods, strict=True):
        assert (one.path, one.retryable) == (other.path, other.retryable)
        assert (one.deadline_s, one.affinity) == (other.deadline_s, other.affinity)


def test_the_order_of_the_files_does_not_matter() -> None:
    """Hosts in other languages may sort them otherwise."""
    turned = FileDescriptorSet(file=reversed(files().file))
    assert read(turned.SerializeToString()).service.full_name == ALPHA


def test_two_versions_of_one_contract_live_side_by_side() -> None:
    """The file has the same name in both; each keeps its own methods."""
    newer = files()
    (file,) = (one for one in newer.file if one.service)
    file.service[0].method.add().CopyFrom(file.service[0].method[0])
    file.service[0].method[-1].name = "AskMore"
    told = read(newer.SerializeToString())
    assert "AskMore" in {method.name for method in told.methods}
    before = read(files().SerializeToString())
    assert "AskMore" not in {method.name for method in before.methods}


def test_what_clients_would_refuse_is_refused_here() -> None:
    """One header in capitals would make every client refuse the routes of all agents."""
    bad = files()
    (file,) = (one for one in bad.file if one.service)
    shouting = MethodOptions()
    shouting.Extensions[options.affinity] = "X-Session"
    file.service[0].method[0].options.MergeFrom(shouting)
    with pytest.raises(BrokenContract, match="lower case"):
        read(bad.SerializeToString())


def without_imports() -> bytes:
    kept = [one for one in files().file if one.service]
    return FileDescriptorSet(file=kept).SerializeToString()


@pytest.mark.parametrize(
    ("content", "service", "said"),
    [
        (b"\xff", ALPHA, "is no set of files"),
        (without_imports(), ALPHA, "is no contract"),
        (files().SerializeToString(), BETA, "does not declare the service"),
        (b"", ALPHA, "does not declare the service"),
    ],
)
def test_what_is_no_contract_is_refused_with_its_reason(
    content: bytes, service: str, said: str
) -> None:
    """Whatever a host stored, reading it fails in one way."""
    with pytest.raises(BrokenContract, match=said):
        read(content, service)


def test_content_under_another_digest_is_refused() -> None:
    """A registry that mixed values up is noticed."""
    with pytest.raises(BrokenContract, match="digest"):
        contract_in(STORED[ALPHA].value, STORED[BETA].digest, ALPHA)
