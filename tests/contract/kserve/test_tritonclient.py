"""Triton's own client, unchanged, in a process and an environment of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from inference import (
    grpc_inference_service_pb2,
    model_config_pb2,
    statistics_pb2,
    tensor_pb2,
)
from tandemkit.ml.embedding.hashing import HashingEmbedder
from tests.contract.kserve.running import ran, told_by
from tests.unit.services.gateway.kserve.inferring import MODEL

pytestmark = pytest.mark.real("tritonclient")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the client says of everything that it was asked to do."""
    return told_by("everything.py", tmp_path_factory.mktemp("kserve"), over_http=False)


def test_a_server_says_what_it_is_without_a_token(told: dict[str, Any]) -> None:
    """Whoever only looks after it needs no secret; models are told to who shows one."""
    said = told["server"]
    assert (said["live"], said["ready"], said["model_ready"]) == (True, True, [True, False])
    assert said["server"] == "tandem"
    assert said["metadata"]["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": ["-1"]}]
    assert said["config"]["output"] == [
        {"name": "embedding", "data_type": "TYPE_FP32", "dims": ["-1", "384"]}
    ]
    assert said["index"] == {MODEL: "READY", "default": "READY", "talker/words": "READY"}


async def test_texts_come_back_as_an_array_of_vectors(told: dict[str, Any]) -> None:
    """Exactly those that the agent computed, also compressed, and asked for asynchronously."""
    said = told["texts_of"]
    assert said["shape"] == said["later"] == [3, 384]
    assert said["lengths"] == pytest.approx([1.0] * 3, abs=1e-5)
    wanted = await HashingEmbedder(MODEL).embed(["a pump", "größe", "wax"])
    assert said["first"] == [pytest.approx(list(one.vector[:4]), abs=1e-7) for one in wanted]
    assert (said["id"], said["version"]) == ("7", HashingEmbedder(MODEL).space.version)
    assert (said["bytes"], said["same"]) == (3 * 384 * 4, True)


@pytest.mark.parametrize(
    ("attempt", "code", "words"),
    [
        ("no token", "UNAUTHENTICATED", "the call shows no token"),
        ("unknown model", "NOT_FOUND", "there is no model `other`"),
        ("datatype", "INVALID_ARGUMENT", "input `text` is FP32; it takes BYTES"),
        ("shared memory", "UNIMPLEMENTED", "there is no shared memory here"),
        ("sequence", "UNIMPLEMENTED", "no model here keeps any"),
        ("region", "UNIMPLEMENTED", "there is no shared memory here"),
        ("trace", "UNIMPLEMENTED", "there are no settings"),
        ("log", "UNIMPLEMENTED", "there are no settings"),
    ],
)
def test_a_refusal_says_why_in_the_message(
    told: dict[str, Any], attempt: str, code: str, words: str
) -> None:
    """The client shows its user nothing else."""
    said_code, said = told["refusals"][attempt]
    assert said_code == code
    assert words in said


def test_a_model_is_unloaded_and_loaded(told: dict[str, Any]) -> None:
    """By the repository extension, and counted by the one for statistics."""
    said = told["repository"]
    assert (said["unloaded"], said["loaded"]) == (False, True)
    assert said["counted"] == str(3 * 3)


def test_a_language_model_streams(told: dict[str, Any]) -> None:
    """Its words as they come, the end of the answer, and a failure that ends no stream."""
    said = told["stream"]
    assert "".join(said["words"]) == "one two three"
    assert said["finals"] == [False, False, False, False, True]
    assert said["errors"] == ["there is no model `other`; RepositoryIndex says which there are"]


def test_the_contract_is_the_clients(tmp_path: Path) -> None:
    """Every method, message, field and enum of ours is the protocol's, by name, number, type and
    presence; ours has fewer fields, which the wire bears.
    """
    theirs = _elements(FileDescriptorSet.FromString(ran("descriptors.py")).file)
    ours = _elements(_described())
    assert not {
        name: (one, theirs.get(name)) for name, one in ours.items() if theirs.get(name) != one
    }
    methods = {name for name in theirs if name.startswith("method ")}
    assert methods <= ours.keys()


def _described() -> Iterator[FileDescriptorProto]:
    modules = (grpc_inference_service_pb2, model_config_pb2, statistics_pb2, tensor_pb2)
    for module in modules:
        file = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        yield file


def _elements(files: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in files:
        for service in file.service:
            for method in service.method:
                found[f"method {file.package}.{service.name}/{method.name}"] = (
                    *(method.input_type, method.output_type),
                    *(method.client_streaming, method.server_streaming),
                )
        for message in file.message_type:
            found |= _fields(message, f"{file.package}.{message.name}")
        found |= _values(file.enum_type, file.package)
    return found


def _fields(message: DescriptorProto, name: str) -> dict[str, Any]:
    found = {f"message {name}": message.options.map_entry, **_values(message.enum_type, name)}
    for field in message.field:
        found[f"field {name}.{field.name}"] = _field(field, message)
    for nested in message.nested_type:
        found |= _fields(nested, f"{name}.{nested.name}")
    return found


def _field(field: FieldDescriptorProto, message: DescriptorProto) -> Any:
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
    return (field.number, field.type, field.label, field.type_name, oneof)


def _values(enums: Any, name: str) -> dict[str, Any]:
    listed: list[EnumDescriptorProto] = list(enums)
    return {
        f"enum {name}.{enum.name}": [(value.name, value.number) for value in enum.value]
        for enum in listed
    }
