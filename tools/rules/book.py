"""Every rule, once: the tests and the command line walk this list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tandemkit.audit.finding import Finding
from tools.rules import (
    call_graph,
    conventions,
    doors,
    facts,
    files,
    habits,
    layers,
    ratchet,
    spawning,
    stanzas,
    suppressions,
    words,
)
from tools.rules.descriptors import Contracts
from tools.rules.tree import Tree

TextRule = Callable[[Tree], Iterable[Finding]]

# Rules over the text alone.
TEXT_RULES: dict[str, TextRule] = {
    "addresses": files.addresses,
    "call-graph": call_graph.check,
    "catch-alls": habits.catch_alls,
    "clocks": habits.clocks,
    "doors": doors.check,
    "environment": habits.environment,
    "five-facts": facts.check,
    "foreign": files.foreign,
    "fragments": files.fragments,
    "generated": files.generated,
    "layers": layers.check,
    "log-events": habits.log_events,
    "machine-paths": files.machine_paths,
    "marks": words.marks,
    "module-docstrings": words.module_docstrings,
    "names": words.names,
    "prints": habits.prints,
    "randomness": habits.randomness,
    "ratchet": ratchet.check,
    "shell": files.shell,
    "supervised": spawning.check,
    "suppressions": suppressions.check,
    "test-docstrings": words.test_docstrings,
}

# Rules that need the compiled contracts as well.
CONTRACT_RULES: dict[str, Callable[[Tree, Contracts], Iterable[Finding]]] = {
    "contract-conventions": lambda _, contracts: conventions.check(contracts),
    "contract-names": lambda _, contracts: words.names_in_contracts(contracts),
    "fleet": stanzas.check,
}


def check(tree: Tree) -> Iterator[Finding]:
    """What every rule finds."""
    for text_rule in TEXT_RULES.values():
        yield from text_rule(tree)
    contracts = Contracts.of(tree)
    for contract_rule in CONTRACT_RULES.values():
        yield from contract_rule(tree, contracts)
