"""Five facts of an agent agree: its contract, code, build, running and behaviour. What is no agent,
since the kit itself answers it on every host, has three: its contract, code and behaviour.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import yaml

from tandemkit.audit.finding import Finding
from tandemkit.core.names import AgentName
from tools.rules import agents
from tools.rules.agents import Declaration
from tools.rules.tree import Tree

RULE = "five-facts"
# What says which agents a program of another language has, below the family's folder.
_PROGRAMS = {"RUNTIME_GO": "go/main.go", "RUNTIME_NODE": "node/src/main.ts"}


def check(tree: Tree) -> Iterator[Finding]:
    """A finding at the path of each fact that is missing, or that nothing else knows."""
    known = dict(agents.contracts(tree))
    declared = {item.module.path: item for item in agents.declarations(tree)}
    for path, name in known.items():
        yield from _missing(tree, path, name, declared)
    for path, name in agents.plumbing(tree):
        yield from _missing_in_kit(tree, path, name)
    yield from _unknown(tree, {name.service: name for name in known.values()})


def _missing(
    tree: Tree, contract: str, name: AgentName, declared: dict[str, Declaration]
) -> Iterator[Finding]:
    because = f"the contract {contract} exists"
    code = _code(tree, name)
    if code is None:
        wanted = f"{name.module.replace('.', '/')}.py"
        yield Finding(wanted, 1, RULE, f"missing: no code, but {because}")
    elif code not in declared:
        yield Finding(code, 1, RULE, "declares no `AGENT = Agent(...)`")
    elif declared[code].contract != name.proto.removesuffix(".proto"):
        found = declared[code].contract or "nothing that is a contract"
        message = f"its contract is {found}, by its place it is {name.proto}"
        yield Finding(code, declared[code].line, RULE, message)
    runtime = declared[code].runtime if code in declared else ""
    yield from _unbuilt(tree, name, runtime, because)
    running = f"deploy/fleet/{name.family}.yaml"
    if name.service not in _stanzas(tree, running):
        yield Finding(running, 1, RULE, f"missing: a stanza of {name.service}, but {because}")
    if not _has_tests(tree, name):
        wanted = f"tests/unit/services/{name.family}/test_{name.snake}.py"
        yield Finding(wanted, 1, RULE, f"missing: no tests, but {because}")


def _unbuilt(tree: Tree, name: AgentName, runtime: str, because: str) -> Iterator[Finding]:
    """An agent of another language is built into the one program that has all of its language."""
    build = f"services/{name.family}/{_PROGRAMS.get(runtime, 'BUILD')}"
    if not runtime and name.snake not in _targets(tree, build):
        yield Finding(build, 1, RULE, f'missing: `agent("{name.snake}")`, but {because}')
    spelled = name.snake.replace("_", "[-_]?")
    if runtime and not re.search(rf"agents/{spelled}\b", tree.files.get(build, "")):
        yield Finding(build, 1, RULE, f"missing: the import of {name.snake}, but {because}")


def _missing_in_kit(tree: Tree, contract: str, name: AgentName) -> Iterator[Finding]:
    """Its servicer's and its tests' places are the kit's to choose; who imports the stubs is it."""
    stem = name.proto.removesuffix(".proto")
    for fact, roots in (("code", "libs/tandemkit/hosting/"), ("tests", "tests/unit/tandemkit/")):
        if not any(stem in agents.stubs(module) for module in tree.modules_under(roots)):
            because = f"the contract {contract} says that the kit answers it"
            yield Finding(roots, 1, RULE, f"missing: no {fact} of {name.service}, but {because}")


def _unknown(tree: Tree, known: dict[str, AgentName]) -> Iterator[Finding]:
    """Facts without a contract: left over from an agent that was renamed or removed."""
    stems = {name.proto.removesuffix(".proto") for name in known.values()}
    for item in agents.declarations(tree):
        if item.contract not in stems:
            message = f"missing: protos/{item.contract or '...'}.proto, which this agent serves"
            yield Finding(item.module.path, item.line, RULE, message)
    targets = {name.target for name in known.values()}
    for path in tree.files:
        if found := re.fullmatch(r"(services/[a-z0-9_]+)/BUILD", path):
            for target, line in _targets(tree, path).items():
                if f"{found[1]}:{target}" not in targets:
                    message = f'`agent("{target}")` has no contract in protos/'
                    yield Finding(path, line, RULE, message)
        elif found := re.fullmatch(r"deploy/fleet/([a-z0-9_]+)\.yaml", path):
            for service, line in _stanzas(tree, path).items():
                if service not in known or known[service].family != found[1]:
                    message = f"{service} is no contract of the family {found[1]}"
                    yield Finding(path, line, RULE, message)


def _code(tree: Tree, name: AgentName) -> str | None:
    base = name.module.replace(".", "/")
    return next((path for path in (f"{base}.py", f"{base}/agent.py") if path in tree.files), None)


def _targets(tree: Tree, path: str) -> dict[str, int]:
    """Names given to `agent(...)` in a BUILD file, each with its line."""
    try:
        build = ast.parse(tree.files.get(path, ""))
    except SyntaxError:
        return {}
    return {
        call.args[0].value: call.lineno
        for call in ast.walk(build)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "agent"
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def _stanzas(tree: Tree, path: str) -> dict[str, int]:
    """Services that a fleet file runs, each with its line; what YAML cannot read has none."""
    try:
        root = yaml.compose(tree.files.get(path, ""), Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return {}
    return {
        value.value: value.start_mark.line + 1
        for stanza in _items(root, "agents")
        if isinstance(stanza, yaml.MappingNode)
        for key, value in stanza.value
        if key.value == "service"
    }


def _items(root: yaml.Node | None, key: str) -> list[yaml.Node]:
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    found = [value for name, value in pairs if name.value == key]
    return [item for value in found if isinstance(value, yaml.SequenceNode) for item in value.value]


def _has_tests(tree: Tree, name: AgentName) -> bool:
    folder = f"tests/unit/services/{name.family}/"
    own = (f"{folder}test_{name.snake}.py", f"{folder}test_{name.snake}/", f"{folder}{name.snake}/")
    return any(path.startswith(own) and "/test_" in path for path in tree.files)
