"""The call graph: what an agent declares is what it imports, and no agent waits for itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tandemkit.audit.finding import Finding
from tandemkit.core import layers
from tools.rules import agents
from tools.rules.agents import Declaration
from tools.rules.tree import Tree

RULE = "calls"


def check(tree: Tree) -> Iterator[Finding]:
    """Findings for stubs without a call, calls without a stub, and cycles of `calls`."""
    declared = tuple(agents.declarations(tree))
    for agent in declared:
        yield from _compared(tree, agent)
    yield from _cycles({agent.contract: agent for agent in declared})


def _compared(tree: Tree, agent: Declaration) -> Iterator[Finding]:
    listed = {*agent.calls, *agent.soft_calls}
    used: dict[str, Finding] = {}
    for module in tree.modules_under(*agent.package):
        for stem, line in agents.stubs(module).items():
            message = f"imports the stub of {stem}, which stands neither in calls nor in soft_calls"
            used.setdefault(stem, Finding(module.path, line, RULE, message))
    used.pop(agent.contract, None)
    yield from (used[stem] for stem in sorted(used.keys() - listed))
    for stem in sorted(listed - used.keys()):
        message = f"declares a call of {stem} and imports no stub of it"
        yield Finding(agent.module.path, agent.line, RULE, message)
    for stem in sorted(set(agent.calls) & set(agent.soft_calls)):
        message = f"{stem} stands in calls and in soft_calls; one of them is true"
        yield Finding(agent.module.path, agent.line, RULE, message)


def _cycles(by_contract: Mapping[str, Declaration]) -> Iterator[Finding]:
    """Soft calls may form a cycle: they do not gate a start."""
    for cycle in layers.cycles({name: agent.calls for name, agent in by_contract.items()}):
        agent = by_contract[cycle[0]]
        message = f"a cycle of calls can never start: {' -> '.join(cycle)}"
        yield Finding(agent.module.path, agent.line, RULE, message)
