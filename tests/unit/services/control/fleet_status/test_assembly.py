"""Registered hosts as a catalogue; whatever is wrong with one stays its own affair."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.control.fleet_status.assembly import FRONT, Assembly, assemble
from services.control.fleet_status.making import Contracts, Making
from tandem.control.v1 import fleet_status_service_pb2
from tandem.control.v1 import registration_pb2 as nouns
from tandemkit.mesh.catalogue import Catalogue
from tandemkit.mesh.policy import TrafficPolicy
from tandemkit.mesh.snapshot import generation
from tandemkit.mesh.validation import objections
from tandemkit.rpc.contract import Contract
from tests.cluster.mesh.trial_contract import ALPHA, ALPHA_FILE, BETA, BETA_FILE
from tests.unit.services.control.fleet_status.fleet import STORED, host, placement

CONTRACTS = {
    (STORED[ALPHA].digest, ALPHA): Contract.of(ALPHA_FILE),
    (STORED[BETA].digest, BETA): Contract.of(BETA_FILE),
    (STORED[FRONT].digest, FRONT): Contract.of(fleet_status_service_pb2.DESCRIPTOR),
}


def assembled(
    present: Sequence[nouns.Host],
    departed: Sequence[nouns.Host] = (),
    contracts: Contracts = CONTRACTS,
    making: Making | None = None,
) -> Assembly:
    """By default as if nothing had been assembled before."""
    making = making or Making()
    making.see((*present, *departed))
    return assemble(present, departed, contracts, making)


def made(*present: nouns.Host, departed: tuple[nouns.Host, ...] = ()) -> Assembly:
    """An assembly of which clients would refuse nothing."""
    found = assembled(present, departed)
    assert objections(generation(found.catalogue, TrafficPolicy()).on("laptop")) == []
    return found


def serving(catalogue: Catalogue) -> dict[str, bool]:
    return {one.name: one.serving for one in catalogue.hosts}


def test_hosts_with_known_contracts_are_in_the_catalogue() -> None:
    """With their agents, by name; nothing is left out."""
    found = made(host("b", 2), host("a", 1, [placement(ALPHA), placement(BETA)]))
    assert serving(found.catalogue) == {"hosts/a": True, "hosts/b": True}
    assert [one.service.full_name for one in found.catalogue.contracts] == [ALPHA, BETA]
    assert found.left_out == {}


def test_a_departed_host_keeps_its_place_and_takes_no_calls() -> None:
    """Clusters keep their names when the last host of a group dies."""
    found = made(departed=(host("a", 1),))
    assert serving(found.catalogue) == {"hosts/a": False}
    assert len(found.catalogue.contracts) == 1


def test_an_agent_without_contract_is_left_out_and_its_neighbour_is_not() -> None:
    """The reason names the host and the agent."""
    digest = "0" * 64
    found = made(host("a", 1, [placement(ALPHA, digest=digest), placement(BETA)]))
    (one,) = found.catalogue.hosts
    assert [placed.service for placed in one.placements] == [BETA]
    assert found.left_out == {f"hosts/a/{ALPHA}": "its contract is not known"}


def test_an_address_that_clients_would_refuse_costs_only_its_host() -> None:
    """xDS wants numbers; one name in it would make clients refuse all endpoints."""
    found = made(host("a", 1, address="pc2.lan"), host("b", 2))
    assert serving(found.catalogue) == {"hosts/b": True}
    assert found.left_out == {"hosts/a": "its address is no IP address"}


def test_the_later_of_two_hosts_on_one_port_has_it() -> None:
    """A host restarted under another name is there before the lease of the first runs out."""
    found = made(host("z", 1), host("a", 1))
    assert serving(found.catalogue) == {"hosts/a": True, "hosts/z": False}


@pytest.mark.parametrize("instance", ["", "trial-alpha"])
def test_the_default_instance_may_be_named_or_not(instance: str) -> None:
    """Both are what a call without the header reaches."""
    found = made(host("a", 1, [placement(instance=instance)]))
    assert found.catalogue.hosts[0].placements[0].instance == ""


def test_an_instance_told_twice_is_one() -> None:
    """Else its endpoint would be told twice, and clients refuse that."""
    found = made(host("a", 1, [placement(), placement(instance="trial-alpha")]))
    assert len(found.catalogue.hosts[0].placements) == 1


def test_routes_are_made_from_the_contract_that_most_hosts_have() -> None:
    """In a rollout the newer contract takes over once it has more hosts."""
    newer = Contract.of(ALPHA_FILE)
    contracts = {**CONTRACTS, ("f" * 64, ALPHA): newer}
    old, new = placement(), placement(digest="f" * 64)
    few = (host("a", 1, [old]), host("b", 2, [old]), host("c", 3, [new]))
    many = (*few, host("d", 4, [new]), host("e", 5, [new]))
    assert assembled(few, (), contracts).catalogue.contracts[0] is not newer
    assert assembled(many, (), contracts).catalogue.contracts[0] is newer


def test_a_control_that_has_registered_is_the_front() -> None:
    """Until one has, nobody answers what belongs to no agent."""
    assert made(host("a", 1)).catalogue.front == ""
    control = host("c", 3, [placement(FRONT)], group="control")
    assert made(host("a", 1), control).catalogue.front == FRONT


def test_each_contract_is_needed_once() -> None:
    """However many hosts serve the agent."""
    assert Making().see([host("a", 1), host("b", 2)]) == {(STORED[ALPHA].digest, ALPHA)}


def test_what_did_not_change_is_not_made_again() -> None:
    """Others tell by the very object that nothing changed."""
    making = Making()
    before = assembled([host("a", 1), host("b", 2)], making=making).catalogue
    after = assembled([host("a", 1), host("b", 3)], making=making).catalogue
    assert after.hosts[0] is before.hosts[0]
    assert after.hosts[1] is not before.hosts[1]
    assert after.contracts is before.contracts


PLACEMENTS = st.lists(
    st.sampled_from([placement(), placement(BETA), placement(FRONT), placement(digest="f" * 64)]),
    max_size=3,
)
HOSTS = st.lists(
    st.builds(
        host,
        st.sampled_from("abcd"),
        st.integers(min_value=1, max_value=3),
        PLACEMENTS,
        address=st.sampled_from(["127.0.0.1", "127.0.0.2", "pc2.lan"]),
    ),
    max_size=4,
    unique_by=lambda one: one.name,
)


@given(
    st.lists(
        st.tuples(
            HOSTS, st.integers(min_value=0, max_value=4), st.sets(st.sampled_from([*CONTRACTS]))
        ),
        min_size=2,
        max_size=6,
    )
)
def test_remembering_changes_nothing(
    steps: list[tuple[list[nouns.Host], int, set[tuple[str, str]]]],
) -> None:
    """Whatever was assembled before, the catalogue is what it would be without."""
    making = Making()
    contracts: dict[tuple[str, str], Contract | str] = {}
    for hosts, present_count, learned in steps:
        wanted = making.see(hosts)
        contracts = {key: one for key, one in contracts.items() if key in wanted}
        contracts |= {key: CONTRACTS[key] for key in learned & wanted}
        split = hosts[:present_count], hosts[present_count:]
        assert assemble(*split, contracts, making) == assembled(*split, contracts)
