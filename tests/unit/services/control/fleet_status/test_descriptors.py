"""Contracts read back from what hosts stored."""

from __future__ import annotations

import hashlib

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodOptions

from services.control.fleet_status.descriptors import BrokenContract, Shelf
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.options.v1 import options_pb2 as options
from tandemkit.rpc.contract import Contract
from tests.cluster.mesh.trial_contract import ALPHA, ALPHA_FILE, BETA
from tests.unit.services.control.fleet_status.fleet import STORED


def files() -> FileDescriptorSet:
    return FileDescriptorSet.FromString(STORED[ALPHA].value.content)


def read(content: bytes, service: str = ALPHA, shelf: Shelf | None = None) -> Contract:
    """As if a host had stored it under its true digest; by default the first to be read."""
    value = pb.StoredValue(schema="google.protobuf.FileDescriptorSet", content=content)
    return (shelf or Shelf()).contract(value, hashlib.sha256(content).hexdigest(), service)


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
    shelf = Shelf()
    told = read(newer.SerializeToString(), shelf=shelf)
    assert "AskMore" in {method.name for method in told.methods}
    before = read(files().SerializeToString(), shelf=shelf)
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


def test_contracts_share_what_they_import() -> None:
    """A thousand contracts would else take half a gigabyte."""
    shelf = Shelf()
    alpha = read(files().SerializeToString(), shelf=shelf)
    beta = shelf.contract(STORED[BETA].value, STORED[BETA].digest, BETA)
    assert alpha.service.file.pool is beta.service.file.pool


def test_a_broken_contract_spoils_nothing_for_others() -> None:
    """Not even where it brings files that others need too, and not what it failed with."""
    shelf = Shelf()
    spoilt = files()
    (file,) = (one for one in spoilt.file if one.service)
    file.service[0].method[0].input_type = ".tandem.trial.v1.Nothing"
    with pytest.raises(BrokenContract, match="is no contract"):
        read(spoilt.SerializeToString(), shelf=shelf)
    assert read(files().SerializeToString(), shelf=shelf).methods
    with pytest.raises(BrokenContract, match="is no contract"):
        read(spoilt.SerializeToString(), shelf=shelf)


def test_what_a_contract_imports_is_its_own_to_bring() -> None:
    """It is refused alone, so it is refused after others too: theirs may be another version."""
    shelf = Shelf()
    read(files().SerializeToString(), shelf=shelf)
    with pytest.raises(BrokenContract, match="is no contract"):
        read(without_imports(), shelf=shelf)


def test_files_that_import_each_other_are_refused() -> None:
    """There is no order to read them in."""
    ring = files()
    ring.file[0].dependency.append(ring.file[-1].name)
    with pytest.raises(BrokenContract, match="is no contract"):
        read(ring.SerializeToString())


def test_content_under_another_digest_is_refused() -> None:
    """A registry that mixed values up is noticed."""
    with pytest.raises(BrokenContract, match="digest"):
        Shelf().contract(STORED[ALPHA].value, STORED[BETA].digest, ALPHA)
