"""`static_main(agents=[...])`: a module `main_of_<name>` that imports the agents it serves.

Written by `agent()` and `host()` of tools/macros.py. A main that found its agents by name at run
time would break dependency inference, and with it small .pex files and exact rebuilds.
"""

from dataclasses import dataclass
from typing import Iterable, Tuple

from pants.backend.python.dependency_inference.module_mapper import (
    PythonModuleOwners,
    PythonModuleOwnersRequest,
)
from pants.backend.python.subsystems.setup import PythonSetup
from pants.backend.python.target_types import PythonResolveField, PythonSourceField
from pants.engine.addresses import Address
from pants.engine.fs import CreateDigest, FileContent, PathGlobs, Paths, Snapshot
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    Dependencies,
    FieldSet,
    GeneratedSources,
    GenerateSourcesRequest,
    InferDependenciesRequest,
    InferredDependencies,
    MultipleSourcesField,
    StringSequenceField,
    Target,
)
from pants.engine.unions import UnionRule

SERVE = "tandemkit.hosting.main"


class AgentsField(StringSequenceField):
    alias = "agents"
    required = True
    help = "Names of agents beside this BUILD file: `x` is `x.py`, or `x/agent.py` once outgrown."


class StaticMainField(MultipleSourcesField):
    """There for its type alone: what makes Pants call the rule that writes the module."""

    alias = "_sources"
    expected_num_files = 0


class StaticMainDependencies(Dependencies):
    pass


class StaticMain(Target):
    alias = "static_main"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        AgentsField,
        PythonResolveField,
        StaticMainDependencies,
        StaticMainField,
    )
    help = "A generated Python module whose `main` serves the agents named."


@dataclass(frozen=True)
class AgentNames:
    """The agents of one main, and the folder that they stand in."""

    folder: str
    names: Tuple[str, ...]

    @classmethod
    def of(cls, address: Address, field: AgentsField) -> "AgentNames":
        return cls(address.spec_path, tuple(field.value or ()))


@dataclass(frozen=True)
class AgentModules:
    """The dotted module of each agent, in the order they were named."""

    modules: Tuple[str, ...]


@rule
async def find_modules(agents: AgentNames) -> AgentModules:
    modules = []
    for name in agents.names:
        stem = f"{agents.folder}/{name}"
        found = await Get(Paths, PathGlobs([f"{stem}.py", f"{stem}/agent.py"]))
        if len(found.files) != 1:
            raise ValueError(
                f"agent {name!r} of {agents.folder} must be either {stem}.py or {stem}/agent.py; "
                f"found: {', '.join(found.files) or 'neither'}"
            )
        modules.append(found.files[0][: -len(".py")].replace("/", "."))
    return AgentModules(tuple(modules))


def render(agents: AgentNames, modules: AgentModules) -> str:
    """The module's text; a single agent brings its own main."""
    if len(modules.modules) == 1:
        return f"from {modules.modules[0]} import main as main\n"
    pairs = list(zip(agents.names, modules.modules))
    imports = "".join(f"from {module} import AGENT as {name}\n" for name, module in pairs)
    return (
        f"{imports}from {SERVE} import serve_agents\n\n\n"
        "def main() -> None:\n"
        f"    serve_agents([{', '.join(agents.names)}])\n"
    )


class WriteMainRequest(GenerateSourcesRequest):
    input = StaticMainField
    output = PythonSourceField


@rule(desc="Write a static main")
async def write_main(request: WriteMainRequest) -> GeneratedSources:
    target = request.protocol_target
    agents = AgentNames.of(target.address, target[AgentsField])
    modules = await Get(AgentModules, AgentNames, agents)
    path = f"{agents.folder}/{target.address.target_name}.py"
    content = FileContent(path, render(agents, modules).encode())
    return GeneratedSources(await Get(Snapshot, CreateDigest([content])))


@dataclass(frozen=True)
class StaticMainFieldSet(FieldSet):
    required_fields = (AgentsField, StaticMainDependencies, StaticMainField)

    agents: AgentsField
    resolve: PythonResolveField


class InferAgents(InferDependenciesRequest):
    infer_from = StaticMainFieldSet


@rule(desc="Infer what a static main imports")
async def infer_agents(request: InferAgents, python_setup: PythonSetup) -> InferredDependencies:
    field_set = request.field_set
    agents = AgentNames.of(field_set.address, field_set.agents)
    found = await Get(AgentModules, AgentNames, agents)
    resolve = field_set.resolve.normalized_value(python_setup)
    wanted = found.modules if len(found.modules) == 1 else (*found.modules, SERVE)
    owners = await MultiGet(
        Get(PythonModuleOwners, PythonModuleOwnersRequest(module, resolve=resolve))
        for module in wanted
    )
    return InferredDependencies(sorted({a for owner in owners for a in owner.unambiguous}))


def target_types() -> Iterable[type[Target]]:
    return [StaticMain]


def rules() -> Iterable[object]:
    return [
        *collect_rules(),
        UnionRule(GenerateSourcesRequest, WriteMainRequest),
        UnionRule(InferDependenciesRequest, InferAgents),
    ]
