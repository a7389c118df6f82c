"""Whoever asks who calls is tried by somebody without rights, in each of its methods."""

from __future__ import annotations

from tandemkit.core.names import INFERENCE
from tests.contract.tenancy.asking import AGENTS
from tests.repo.checkout import root
from tools.rules.descriptors import Contracts
from tools.rules.tree import Tree


def test_every_service_that_asks_who_calls_is_tried_without_rights() -> None:
    """An agent that is made tomorrow fails here until tests/contract/tenancy tries it."""
    contracts = Contracts.of(Tree.read(root()))
    asking = {
        element.name
        for element, service in contracts.services()
        if contracts.option(service.options, "asks_caller")
    }
    # Our rules are not for contracts of others.
    asking.add(INFERENCE)
    assert asking == {agent.promise.service.full_name for agent in AGENTS}
