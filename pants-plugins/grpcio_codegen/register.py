"""Takes the place of pants.backend.codegen.protobuf.python: all of it but the protoc download."""

from typing import Iterable

from pants.backend.codegen.protobuf import protobuf_dependency_inference
from pants.backend.codegen.protobuf import tailor as protobuf_tailor
from pants.backend.codegen.protobuf.python import (
    additional_fields,
    python_protobuf_module_mapper,
    python_protobuf_subsystem,
)
from pants.backend.codegen.protobuf.target_types import (
    ProtobufSourcesGeneratorTarget,
    ProtobufSourceTarget,
)
from pants.backend.codegen.protobuf.target_types import rules as target_rules
from pants.backend.python.dependency_inference import module_mapper
from pants.core.util_rules import stripped_source_files
from pants.engine.target import Target

from grpcio_codegen import image
from grpcio_codegen import rules as codegen
from grpcio_codegen.image import ContractImage
from grpcio_codegen.packaged import PackagedContract


def target_types() -> Iterable[type[Target]]:
    return [ContractImage, PackagedContract, ProtobufSourcesGeneratorTarget, ProtobufSourceTarget]


def rules() -> Iterable[object]:
    return [
        *codegen.rules(),
        *image.rules(),
        *additional_fields.rules(),
        *python_protobuf_subsystem.rules(),
        *python_protobuf_module_mapper.rules(),
        *protobuf_dependency_inference.rules(),
        *protobuf_tailor.rules(),
        *target_rules(),
        *module_mapper.rules(),
        *stripped_source_files.rules(),
    ]
