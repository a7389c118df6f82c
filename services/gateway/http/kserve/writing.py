"""Answers of the Open Inference Protocol in JSON, with tensors as bytes behind it where they are
wanted so.
"""

from __future__ import annotations

import json
import struct
import sys
from array import array
from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from inference import grpc_inference_service_pb2 as pb
from services.gateway.http.kserve.reading import Asked

_LENGTH: Final = struct.Struct("<I")
_ARRAYS: Final = {"FP32": "f", "BOOL": "b"}


def encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def answered(asked: Asked, response: pb.ModelInferResponse) -> tuple[bytes, list[bytes]]:
    """The JSON, and what stands behind it."""
    outputs: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        told: dict[str, Any] = {
            "name": output.name,
            "datatype": output.datatype,
            "shape": list(output.shape),
        }
        if asked.binary.get(output.name, asked.is_binary):
            told["parameters"] = {"binary_data_size": len(raw)}
            behind.append(raw)
        else:
            told["data"] = _elements(output.datatype, raw)
        outputs.append(told)
    value: dict[str, Any] = {
        "model_name": response.model_name,
        "model_version": response.model_version,
        "outputs": outputs,
    }
    if response.id:
        value["id"] = response.id
    if response.parameters:
        value["parameters"] = {
            name: getattr(said, said.WhichOneof("parameter_choice") or "string_param")
            for name, said in response.parameters.items()
        }
    return encoded(value), behind


def value_of(message: Message) -> dict[str, Any]:
    """Under the names of the contract, with numbers as numbers, which protobuf's own JSON writes as
    texts where they may be large.
    """
    fields = message.DESCRIPTOR.fields
    return {field.name: _field(field, getattr(message, field.name)) for field in fields}


def _field(field: FieldDescriptor, value: Any) -> Any:
    if field.is_repeated:
        return [_one(field, one) for one in value]
    return _one(field, value)


def _one(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return value_of(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value


def _elements(datatype: str, raw: bytes) -> list[Any]:
    if datatype == "BYTES":
        return list(_texts(raw))
    numbers = array(_ARRAYS[datatype])
    numbers.frombytes(raw)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def _texts(raw: bytes) -> Iterator[str]:
    at = 0
    while at < len(raw):
        begin = at + _LENGTH.size
        at = begin + _LENGTH.unpack_from(raw, at)[0]
        yield raw[begin:at].decode()
