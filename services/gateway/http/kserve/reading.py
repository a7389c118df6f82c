"""Inferences of the Open Inference Protocol in JSON, with tensors as bytes behind it where the
client sends them so.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from inference import grpc_inference_service_pb2 as pb
from inference.tensor_pb2 import InferParameter
from services.gateway.http.denied import Denied, denied
from tandem.gateway.v1 import errors_pb2 as errors
from tandemkit.core.json_value import parsed

# How many bytes of a body are JSON, where tensors follow.
LENGTH_HEADER: Final = "Inference-Header-Content-Length"
_SIZE, _BINARY, _ALL_BINARY = "binary_data_size", "binary_data", "binary_data_output"
_LENGTH: Final = struct.Struct("<I")
_LENGTH_TEXT: Final = re.compile(r"[0-9]{1,12}")
_CHARS_MAX: Final = 240
# Dimensions of what stands in JSON.
_DEPTH: Final = 16
_INT64: Final = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Asked:
    """`binary` says of outputs whether they are wanted as bytes; of one that it does not name,
    `is_binary` does.
    """

    request: pb.ModelInferRequest
    binary: Mapping[str, bool]
    is_binary: bool


def asked_of(model: str, version: str, body: bytes, length: str | None) -> Asked:
    """Raises Denied."""
    text, rest = _parted(body, length)
    said = _object(text)
    _check_fields(said, "the request", {"id", "parameters", "inputs", "outputs"})
    request = pb.ModelInferRequest(
        model_name=model, model_version=version, id=_text(said.get("id", ""), "id")
    )
    is_binary = _set_parameters(request.parameters, said, (_ALL_BINARY,)).get(_ALL_BINARY, False)
    tensors = _Tensors(rest)
    for one in _objects(said, "inputs"):
        tensors.add(request, one)
    tensors.end()
    binary: dict[str, bool] = {}
    for one in _objects(said, "outputs"):
        _check_fields(one, "an output", {"name", "parameters"})
        output = request.outputs.add(name=_text(one.get("name"), "the name of an output"))
        own = _set_parameters(output.parameters, one, (_BINARY,))
        binary[output.name] = bool(own.get(_BINARY, is_binary))
    return Asked(request, binary, bool(is_binary))


class _Tensors:
    """Inputs, of which some have their elements behind the JSON, in their order."""

    def __init__(self, rest: bytes) -> None:
        self._rest, self._at = rest, 0

    def add(self, request: pb.ModelInferRequest, said: dict[str, Any]) -> None:
        _check_fields(said, "an input", {"name", "shape", "datatype", "parameters", "data"})
        name = _text(said.get("name"), "the name of an input")
        made = request.inputs.add(
            name=name,
            datatype=_text(said.get("datatype", ""), f"`datatype` of input `{name}`"),
            shape=_shape(said.get("shape"), name),
        )
        size = _set_parameters(made.parameters, said, (_SIZE,)).get(_SIZE)
        if size is None:
            raw = b"".join(_encoded(_flat(said.get("data", [])), made.datatype, name))
        elif "data" in said:
            raise _invalid(f"input `{name}` has `data`, and bytes behind the JSON too")
        else:
            raw = self._taken(size, name)
        request.raw_input_contents.append(raw)

    def end(self) -> None:
        if self._at != len(self._rest):
            said = f"{len(self._rest) - self._at} bytes behind the JSON are of no input"
            raise _invalid(said)

    def _taken(self, size: object, name: str) -> bytes:
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise _invalid(f"`{_SIZE}` of input `{name}` is a whole number")
        begin, self._at = self._at, self._at + size
        if self._at > len(self._rest):
            raise _invalid(f"input `{name}` has fewer bytes behind the JSON than it says")
        return self._rest[begin : self._at]


def fields_of(body: bytes, known: set[str]) -> dict[str, Any]:
    """An object with no other fields; an empty body is one. Raises Denied."""
    said = _object(body) if body.strip() else {}
    _check_fields(said, "the request", known)
    return said


def _parted(body: bytes, length: str | None) -> tuple[bytes, bytes]:
    if length is None:
        return body, b""
    if _LENGTH_TEXT.fullmatch(length) is None or int(length) > len(body):
        raise _invalid(f"`{LENGTH_HEADER}` is no number of bytes that the body has")
    return body[: int(length)], body[int(length) :]


def _object(text: bytes) -> dict[str, Any]:
    try:
        said = parsed(text.decode())
    except ValueError as error:
        # Clients of the protocol show the message alone.
        message = f"the body is no JSON in UTF-8: {error}"[:_CHARS_MAX]
        raise denied(errors.ERROR_REASON_JSON_INVALID, message) from error
    if not isinstance(said, dict):
        raise _invalid("the body is no JSON object")
    return said


def _objects(said: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = said.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise _invalid(f"`{name}` is a list of objects")
    return found


def _check_fields(said: dict[str, Any], what: str, known: set[str]) -> None:
    for name in said.keys() - known:
        raise _invalid(f"{what} has a field `{name}`; it has {', '.join(sorted(known))}")


def _parameters(said: dict[str, Any]) -> dict[str, Any]:
    found = said.get("parameters") or {}
    if not isinstance(found, dict):
        raise _invalid("`parameters` is an object")
    return found


def _set_parameters(into: Any, said: dict[str, Any], own: tuple[str, ...]) -> dict[str, Any]:
    """Those of this face alone are returned, and not told to the agent."""
    found = _parameters(said)
    for name, value in found.items():
        if name not in own:
            into[name].CopyFrom(_parameter(name, value))
    return {name: found[name] for name in own if name in found}


def _parameter(name: str, value: object) -> InferParameter:
    match value:
        case bool():
            return InferParameter(bool_param=value)
        case int() if value in _INT64:
            return InferParameter(int64_param=value)
        case float():
            return InferParameter(double_param=value)
        case str():
            return InferParameter(string_param=value)
    raise _invalid(f"parameter `{name}` is a text, a number, true or false")


def _shape(said: object, name: str) -> list[int]:
    if not isinstance(said, list) or not all(
        isinstance(one, int) and not isinstance(one, bool) and one in _INT64 for one in said
    ):
        raise _invalid(f"`shape` of input `{name}` is a list of whole numbers")
    return said


def _flat(data: object, depth: int = 0) -> Iterator[Any]:
    """In row-major order: a tensor of several dimensions may be lists of lists."""
    if depth > _DEPTH:
        raise _invalid(f"`data` has more than {_DEPTH} dimensions")
    if isinstance(data, list):
        for one in data:
            yield from _flat(one, depth + 1)
    else:
        yield data


def _encoded(elements: Iterator[Any], datatype: str, name: str) -> Iterator[bytes]:
    """As raw contents. No model takes other datatypes: the agent says so, whatever is in them."""
    for one in elements:
        if datatype == "BYTES":
            encoded = _text(one, f"an element of input `{name}`").encode()
            yield _LENGTH.pack(len(encoded)) + encoded
        elif datatype == "BOOL":
            if not isinstance(one, bool):
                raise _invalid(f"an element of input `{name}` is true or false")
            yield bytes((one,))


def _text(said: object, what: str) -> str:
    if not isinstance(said, str):
        raise _invalid(f"{what} is a text")
    return said


def _invalid(message: str) -> Denied:
    # What was sent stands in it, which may be long.
    return denied(errors.ERROR_REASON_TENSOR_INVALID, message[:_CHARS_MAX])
