"""Python from `protobuf_sources`, by the protoc in grpcio-tools and not one downloaded.

The work is done by tools/stubs.py; this lays out its sandbox and says what the stubs require.
"""

from dataclasses import dataclass
from typing import Iterable, Tuple

from pants.backend.codegen.protobuf.protobuf_dependency_inference import (
    ProtobufMapping,
    parse_proto_imports,
)
from pants.backend.codegen.protobuf.python.additional_fields import ProtobufPythonResolveField
from pants.backend.codegen.protobuf.target_types import (
    ProtobufDependenciesField,
    ProtobufGrpcToggleField,
    ProtobufSourceField,
)
from pants.backend.python.dependency_inference.module_mapper import ThirdPartyPythonModuleMapping
from pants.backend.python.subsystems.setup import PythonSetup
from pants.backend.python.target_types import PythonResolveField, PythonSourceField
from pants.backend.python.util_rules import pex
from pants.backend.python.util_rules.pex import PexRequest, VenvPex, VenvPexProcess
from pants.core.util_rules.source_files import SourceFilesRequest
from pants.core.util_rules.stripped_source_files import StrippedSourceFiles
from pants.engine.fs import (
    EMPTY_DIGEST,
    AddPrefix,
    Digest,
    DigestContents,
    PathGlobs,
    RemovePrefix,
    Snapshot,
)
from pants.engine.process import ProcessResult
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.engine.target import (
    FieldSet,
    GeneratedSources,
    GenerateSourcesRequest,
    HydratedSources,
    HydrateSourcesRequest,
    InferDependenciesRequest,
    InferredDependencies,
    TransitiveTargets,
    TransitiveTargetsRequest,
)
from pants.engine.unions import UnionRule
from pants.option.global_options import GlobMatchErrorBehavior
from pants.source.source_root import SourceRoot, SourceRootRequest
from pants.util.logging import LogLevel

from grpcio_codegen import packaged
from grpcio_codegen.packaged import (
    GeneratePackagedRequest,
    PackagedContracts,
    PackagedPathField,
    module_of,
)
from grpcio_codegen.subsystem import GrpcioTools

DRIVER = "tools/stubs.py"
OUT = "_generated"


@dataclass(frozen=True)
class StubsTool:
    """tools/stubs.py in an environment that has all it imports."""

    pex: VenvPex


@rule(desc="Set up the stub generator")
async def set_up_tool(tool: GrpcioTools) -> StubsTool:
    driver = await Get(
        Digest,
        PathGlobs([DRIVER], GlobMatchErrorBehavior.error, description_of_origin="grpcio_codegen"),
    )
    sources = await Get(Digest, RemovePrefix(driver, "tools"))
    return StubsTool(await Get(VenvPex, PexRequest, tool.to_pex_request(sources=sources)))


@dataclass(frozen=True)
class StubsRun:
    """One run of tools/stubs.py: the contracts wanted, and all that they import of ours."""

    contracts: Tuple[str, ...]
    closure: Digest
    source_root: str


@rule
async def run_stubs(run: StubsRun, tool: StubsTool) -> GeneratedSources:
    result = await Get(
        ProcessResult,
        VenvPexProcess(
            tool.pex,
            argv=("--root=.", f"--out={OUT}", *run.contracts),
            input_digest=run.closure,
            output_directories=(OUT,),
            description=f"Generate Python from {' '.join(run.contracts)}",
            level=LogLevel.DEBUG,
        ),
    )
    stubs = await Get(Digest, RemovePrefix(result.output_digest, OUT))
    return GeneratedSources(await Get(Snapshot, AddPrefix(stubs, run.source_root)))


class GeneratePythonRequest(GenerateSourcesRequest):
    input = ProtobufSourceField
    output = PythonSourceField


@rule(desc="Generate Python from Protobuf", level=LogLevel.DEBUG)
async def generate_python(request: GeneratePythonRequest) -> GeneratedSources:
    target = request.protocol_target
    transitive = await Get(TransitiveTargets, TransitiveTargetsRequest([target.address]))
    contracts = [
        t[ProtobufSourceField] for t in transitive.closure if t.has_field(ProtobufSourceField)
    ]
    closure, own, root = await MultiGet(
        Get(StrippedSourceFiles, SourceFilesRequest(contracts)),
        Get(StrippedSourceFiles, SourceFilesRequest([target[ProtobufSourceField]])),
        Get(SourceRoot, SourceRootRequest, SourceRootRequest.for_target(target)),
    )
    return await Get(
        GeneratedSources, StubsRun(own.snapshot.files, closure.snapshot.digest, root.path)
    )


@rule(desc="Generate Python from a packaged contract", level=LogLevel.DEBUG)
async def generate_packaged(request: GeneratePackagedRequest) -> GeneratedSources:
    target = request.protocol_target
    address = target.address
    root = await Get(SourceRoot, SourceRootRequest, SourceRootRequest.for_address(address))
    path = target[PackagedPathField].value
    return await Get(GeneratedSources, StubsRun((path,), EMPTY_DIGEST, root.path))


@dataclass(frozen=True)
class StubRequirementsFieldSet(FieldSet):
    required_fields = (
        ProtobufSourceField,
        ProtobufDependenciesField,
        ProtobufPythonResolveField,
        ProtobufGrpcToggleField,
    )

    source: ProtobufSourceField
    resolve: ProtobufPythonResolveField
    grpc: ProtobufGrpcToggleField


class InferStubRequirements(InferDependenciesRequest):
    infer_from = StubRequirementsFieldSet


@rule(desc="Infer what stubs require, their types among it")
async def infer_stub_requirements(
    request: InferStubRequirements,
    in_repo: ProtobufMapping,
    carried: PackagedContracts,
    packages: ThirdPartyPythonModuleMapping,
    python_setup: PythonSetup,
) -> InferredDependencies:
    field_set = request.field_set
    sources = await Get(HydratedSources, HydrateSourcesRequest(field_set.source))
    contents = await Get(DigestContents, Digest, sources.snapshot.digest)
    ours = {*in_repo.mapping, *in_repo.ambiguous_modules}
    others = set(parse_proto_imports(contents[0].content.decode())) - ours
    found = {carried.by_path[path] for path in others & carried.by_path.keys()}
    modules = {module_of(path) for path in others - carried.by_path.keys()}
    modules.update(["google.protobuf", "grpc"] if field_set.grpc.value else ["google.protobuf"])
    resolve = field_set.resolve.normalized_value(python_setup)
    for module in modules:
        known = packages.providers_for_module(module, resolve=resolve)
        found.update(possible.provider.addr for possible in known)
    return InferredDependencies(sorted(found))


@dataclass(frozen=True)
class PackagedRequirementsFieldSet(FieldSet):
    required_fields = (PackagedPathField, PythonResolveField)

    resolve: PythonResolveField


class InferPackagedRequirements(InferDependenciesRequest):
    infer_from = PackagedRequirementsFieldSet


@rule(desc="Infer what the stubs of packaged contracts require")
async def infer_packaged_requirements(
    request: InferPackagedRequirements,
    packages: ThirdPartyPythonModuleMapping,
    python_setup: PythonSetup,
) -> InferredDependencies:
    resolve = request.field_set.resolve.normalized_value(python_setup)
    known = packages.providers_for_module("google.protobuf", resolve=resolve)
    return InferredDependencies(sorted(possible.provider.addr for possible in known))


def rules() -> Iterable[object]:
    return [
        *collect_rules(),
        *packaged.rules(),
        *pex.rules(),
        UnionRule(GenerateSourcesRequest, GeneratePythonRequest),
        UnionRule(GenerateSourcesRequest, GeneratePackagedRequest),
        UnionRule(InferDependenciesRequest, InferStubRequirements),
        UnionRule(InferDependenciesRequest, InferPackagedRequirements),
    ]
