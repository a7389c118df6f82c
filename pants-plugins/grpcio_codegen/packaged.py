"""`packaged_contract(path="...")`: a contract of others that a package carries without stubs.

protovalidate's rules are one: its wheel has their descriptor alone, and our stubs import theirs.
"""

from dataclasses import dataclass
from typing import Iterable

from pants.backend.python.dependency_inference.module_mapper import (
    FirstPartyPythonMappingImpl,
    FirstPartyPythonMappingImplMarker,
    ModuleProvider,
    ModuleProviderType,
)
from pants.backend.python.subsystems.setup import PythonSetup
from pants.backend.python.target_types import PythonResolveField, PythonSourceField
from pants.engine.addresses import Address
from pants.engine.rules import collect_rules, rule
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    AllTargets,
    Dependencies,
    GenerateSourcesRequest,
    MultipleSourcesField,
    StringField,
    Target,
)
from pants.engine.unions import UnionRule
from pants.util.frozendict import FrozenDict


class PackagedPathField(StringField):
    alias = "path"
    required = True
    help = "The contract as an import in a .proto names it."


class PackagedSourceField(MultipleSourcesField):
    """There for its type alone: what makes Pants call the rule that generates the stubs."""

    alias = "_sources"
    expected_num_files = 0


class PackagedContract(Target):
    alias = "packaged_contract"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        Dependencies,
        PackagedPathField,
        PackagedSourceField,
        PythonResolveField,
    )
    help = "Stubs of a contract that a package carries, for our stubs to import."


class GeneratePackagedRequest(GenerateSourcesRequest):
    input = PackagedSourceField
    output = PythonSourceField


@dataclass(frozen=True)
class PackagedContracts:
    """Where each packaged contract's stubs are made, by the path of the contract."""

    by_path: FrozenDict[str, Address]


@rule
async def find_packaged_contracts(targets: AllTargets) -> PackagedContracts:
    found = {
        t[PackagedPathField].value: t.address for t in targets if t.has_field(PackagedPathField)
    }
    return PackagedContracts(FrozenDict(found))


def module_of(path: str) -> str:
    """The module of messages that protoc makes of a contract."""
    return path[: -len(".proto")].replace("/", ".") + "_pb2"


class PackagedMappingMarker(FirstPartyPythonMappingImplMarker):
    """Makes `import buf.validate.validate_pb2` known to dependency inference."""


@rule
async def map_packaged_modules(
    _: PackagedMappingMarker, packaged: PackagedContracts, python_setup: PythonSetup
) -> FirstPartyPythonMappingImpl:
    providers = {
        module_of(path): [ModuleProvider(address, ModuleProviderType.IMPL)]
        for path, address in packaged.by_path.items()
    }
    return FirstPartyPythonMappingImpl.create({python_setup.default_resolve: providers})


def rules() -> Iterable[object]:
    return [
        *collect_rules(),
        UnionRule(FirstPartyPythonMappingImplMarker, PackagedMappingMarker),
    ]
