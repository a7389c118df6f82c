"""`contract_image(name="image")`: all contracts with their comments, as a file beside the stubs.

Stubs and servers tell no comments. What shows contracts to people depends on this target.
"""

from typing import Iterable

from pants.backend.codegen.protobuf.target_types import ProtobufSourceField
from pants.backend.python.util_rules.pex import VenvPexProcess
from pants.core.target_types import ResourceSourceField
from pants.core.util_rules.source_files import SourceFilesRequest
from pants.core.util_rules.stripped_source_files import StrippedSourceFiles
from pants.engine.fs import AddPrefix, Digest, Snapshot
from pants.engine.process import ProcessResult
from pants.engine.rules import Get, collect_rules, rule
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    AllTargets,
    Dependencies,
    GeneratedSources,
    GenerateSourcesRequest,
    MultipleSourcesField,
    Target,
)
from pants.engine.unions import UnionRule
from pants.source.source_root import SourceRoot, SourceRootRequest
from pants.util.logging import LogLevel

from grpcio_codegen.rules import StubsTool

IMAGE = "contracts.binpb"
CONTRACTS = "_contracts"


class ContractImageField(MultipleSourcesField):
    """There for its type alone: what makes Pants call the rule that writes the image."""

    alias = "_sources"
    expected_num_files = 0


class ContractImage(Target):
    alias = "contract_image"
    core_fields = (*COMMON_TARGET_FIELDS, Dependencies, ContractImageField)
    help = "All contracts with their comments as one file, where the stubs' root is."


class WriteImageRequest(GenerateSourcesRequest):
    input = ContractImageField
    output = ResourceSourceField


@rule(desc="Write the image of all contracts", level=LogLevel.DEBUG)
async def write_image(
    request: WriteImageRequest, tool: StubsTool, targets: AllTargets
) -> GeneratedSources:
    contracts = [t[ProtobufSourceField] for t in targets if t.has_field(ProtobufSourceField)]
    sources = await Get(StrippedSourceFiles, SourceFilesRequest(contracts))
    result = await Get(
        ProcessResult,
        VenvPexProcess(
            tool.pex,
            argv=(f"--root={CONTRACTS}", f"--descriptor-set={IMAGE}"),
            input_digest=await Get(Digest, AddPrefix(sources.snapshot.digest, CONTRACTS)),
            output_files=(IMAGE,),
            description="Write the image of all contracts",
            level=LogLevel.DEBUG,
        ),
    )
    address = request.protocol_target.address
    root = await Get(SourceRoot, SourceRootRequest, SourceRootRequest.for_address(address))
    return GeneratedSources(await Get(Snapshot, AddPrefix(result.output_digest, root.path)))


def rules() -> Iterable[object]:
    return [*collect_rules(), UnionRule(GenerateSourcesRequest, WriteImageRequest)]
