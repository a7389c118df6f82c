"""Python from `protobuf_sources`, by the protoc in grpcio-tools and not one downloaded.

The work is done by tools/stubs.py; this lays out its sandbox and says what the stubs require.
"""

from dataclasses import dataclass
from typing import Iterable

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
from pants.backend.python.target_types import PythonSourceField
from pants.backend.python.util_rules import pex
from pants.backend.python.util_rules.pex import PexRequest, VenvPex, VenvPexProcess
from pants.core.util_rules.source_files import SourceFilesRequest
from pants.core.util_rules.stripped_source_files import StrippedSourceFiles
from pants.engine.fs import (
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

from grpcio_codegen.subsystem import GrpcioTools

DRIVER = "tools/stubs.py"
OUT = "_generated"
RULES = "buf/validate/validate.proto"


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


class GeneratePythonRequest(GenerateSourcesRequest):
    input = ProtobufSourceField
    output = PythonSourceField


@rule(desc="Generate Python from Protobuf with grpcio-tools", level=LogLevel.DEBUG)
async def generate_python(request: GeneratePythonRequest, tool: StubsTool) -> GeneratedSources:
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
    result = await Get(
        ProcessResult,
        VenvPexProcess(
            tool.pex,
            argv=("--root=.", f"--out={OUT}", *own.snapshot.files),
            input_digest=closure.snapshot.digest,
            output_directories=(OUT,),
            description=f"Generate Python from {target.address}",
            level=LogLevel.DEBUG,
        ),
    )
    stubs = await Get(Digest, RemovePrefix(result.output_digest, OUT))
    return GeneratedSources(await Get(Snapshot, AddPrefix(stubs, root.path)))


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


def required_modules(proto: str, in_repo: ProtobufMapping, *, grpc: bool) -> Iterable[str]:
    """What the stubs of a .proto import that no stub of ours provides."""
    yield "google.protobuf"
    if grpc:
        yield "grpc"
    for path in parse_proto_imports(proto):
        # The stubs of RULES come with those that import them, and need protobuf alone.
        if path != RULES and path not in in_repo.mapping and path not in in_repo.ambiguous_modules:
            yield path[: -len(".proto")].replace("/", ".") + "_pb2"


@rule(desc="Infer the requirements of stubs, their types among them")
async def infer_stub_requirements(
    request: InferStubRequirements,
    in_repo: ProtobufMapping,
    packages: ThirdPartyPythonModuleMapping,
    python_setup: PythonSetup,
) -> InferredDependencies:
    field_set = request.field_set
    sources = await Get(HydratedSources, HydrateSourcesRequest(field_set.source))
    contents = await Get(DigestContents, Digest, sources.snapshot.digest)
    resolve = field_set.resolve.normalized_value(python_setup)
    modules = required_modules(
        contents[0].content.decode(), in_repo, grpc=bool(field_set.grpc.value)
    )
    return InferredDependencies(
        sorted(
            {
                possible.provider.addr
                for module in modules
                for possible in packages.providers_for_module(module, resolve=resolve)
            }
        )
    )


def rules() -> Iterable[object]:
    return [
        *collect_rules(),
        *pex.rules(),
        UnionRule(GenerateSourcesRequest, GeneratePythonRequest),
        UnionRule(InferDependenciesRequest, InferStubRequirements),
    ]
