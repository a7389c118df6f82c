"""Tensors as the protocol has them: read from a request with every mistake named, and written in
the form in which the request came.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from inference import grpc_inference_service_pb2 as pb
from inference.tensor_pb2 import InferTensorContents
from services.gateway.kserve.refusal import bad_tensor, no_memory, unsupported

ANY: Final = -1
BYTES: Final = "BYTES"
# Of what models here take: the list of its typed elements, and how they lie in raw contents.
_LISTS: Final = {BYTES: "bytes_contents", "BOOL": "bool_contents"}
_LAYOUTS: Final = {"BOOL": "?"}
_LENGTH: Final = struct.Struct("<I")
Inputs: TypeAlias = Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Form:
    """One tensor of a model. ANY stands for a dimension of any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    is_optional: bool = False


class Elements(Protocol):
    """What a model gives for one output."""

    @property
    def datatype(self) -> str: ...

    @property
    def shape(self) -> Sequence[int]: ...

    def raw(self) -> bytes:
        """As raw contents."""

    def fill(self, contents: InferTensorContents) -> None:
        """As typed contents."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Of one dimension."""

    texts: Sequence[str]
    datatype: str = BYTES

    @property
    def shape(self) -> Sequence[int]:
        return (len(self.texts),)

    def raw(self) -> bytes:
        return b"".join(_LENGTH.pack(len(one)) + one for one in self._encoded())

    def fill(self, contents: InferTensorContents) -> None:
        contents.bytes_contents.extend(self._encoded())

    def _encoded(self) -> Iterator[bytes]:
        return (text.encode() for text in self.texts)


def is_raw(request: pb.ModelInferRequest) -> bool:
    """Whether the answer has raw contents: unless the request brought typed ones."""
    return not any(one.HasField("contents") for one in request.inputs)


def read(request: pb.ModelInferRequest, forms: Sequence[Form]) -> Inputs:
    """The elements of each input that was sent. Raises CallerError."""
    known = {form.name: form for form in forms}
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        said = f"there are {len(request.inputs)} inputs and {len(raw)} raw_input_contents"
        raise bad_tensor(said, "", "raw_input_contents")
    found: dict[str, Sequence[Any]] = {}
    for index, sent in enumerate(request.inputs):
        form = known.get(sent.name)
        if form is None:
            said = f"the model has no input `{sent.name}`; it takes {_listed(known)}"
            raise bad_tensor(said, sent.name)
        if sent.name in found:
            raise bad_tensor(f"input `{sent.name}` was sent twice", sent.name)
        found[sent.name] = _elements(sent, form, raw[index] if raw else None)
    for form in forms:
        if not form.is_optional and form.name not in found:
            raise bad_tensor(f"input `{form.name}` is missing", form.name)
    return found


def wanted(request: pb.ModelInferRequest, forms: Sequence[Form]) -> tuple[str, ...]:
    """Names of the outputs that are asked for. Raises CallerError."""
    known = {form.name: form for form in forms}
    for output in request.outputs:
        if output.name not in known:
            said = f"the model has no output `{output.name}`; it gives {_listed(known)}"
            raise bad_tensor(said, output.name, "outputs")
        _check_bare(output.parameters, "outputs")
    return tuple(dict.fromkeys(one.name for one in request.outputs)) or tuple(known)


def write(
    response: pb.ModelInferResponse, outputs: Mapping[str, Elements], *, raw: bool
) -> pb.ModelInferResponse:
    for name, elements in outputs.items():
        made = response.outputs.add(name=name, datatype=elements.datatype, shape=elements.shape)
        if raw:
            response.raw_output_contents.append(elements.raw())
        else:
            elements.fill(made.contents)
    return response


def _elements(
    sent: pb.ModelInferRequest.InferInputTensor, form: Form, raw: bytes | None
) -> Sequence[Any]:
    _check_bare(sent.parameters, "inputs")
    if sent.datatype != form.datatype:
        said = f"input `{form.name}` is {sent.datatype or 'of no datatype'}; it takes"
        raise bad_tensor(f"{said} {form.datatype}", form.name, datatype=sent.datatype)
    if not _fits(sent.shape, form.shape):
        said = f"input `{form.name}` has the shape {list(sent.shape)}; it takes {list(form.shape)}"
        raise bad_tensor(f"{said}, of which -1 is any number above 0", form.name)
    if raw is not None and sent.HasField("contents"):
        raise bad_tensor(f"input `{form.name}` has raw and typed contents", form.name)
    found = _typed(sent.contents, form) if raw is None else _unpacked(raw, form)
    if len(found) != math.prod(sent.shape):
        said = f"input `{form.name}` has {len(found)} elements, and its shape {list(sent.shape)}"
        raise bad_tensor(f"{said} asks for {math.prod(sent.shape)}", form.name)
    return found


def _check_bare(parameters: Iterable[str], what: str) -> None:
    for parameter in parameters:
        if parameter.startswith("shared_memory"):
            raise no_memory()
        raise unsupported(f"{what} take no parameter `{parameter}` here", parameter)


def _fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    if len(shape) != len(wanted):
        return False
    return all(one > 0 and asked in {ANY, one} for one, asked in zip(shape, wanted, strict=True))


def _typed(contents: InferTensorContents, form: Form) -> Sequence[Any]:
    own = _LISTS[form.datatype]
    for field, _elements in contents.ListFields():
        if field.name != own:
            said = f"input `{form.name}` is {form.datatype}, and has {field.name}"
            raise bad_tensor(said, form.name)
    found: Sequence[Any] = getattr(contents, own)
    return found


def _unpacked(raw: bytes, form: Form) -> Sequence[Any]:
    if form.datatype == BYTES:
        return list(_cut(raw, form))
    layout = struct.Struct(f"<{_LAYOUTS[form.datatype]}")
    if len(raw) % layout.size:
        said = f"input `{form.name}` has {len(raw)} bytes, and an element has {layout.size}"
        raise bad_tensor(said, form.name)
    return [one for (one,) in layout.iter_unpack(raw)]


def _cut(raw: bytes, form: Form) -> Iterator[bytes]:
    """Elements, each with its length before it."""
    at = 0
    while at < len(raw):
        begin = at + _LENGTH.size
        length = _LENGTH.unpack_from(raw, at)[0] if begin <= len(raw) else 0
        at = begin + length
        if at > len(raw):
            said = f"input `{form.name}` ends within an element: each is four bytes of length, in"
            raise bad_tensor(f"{said} little-endian order, and so many bytes", form.name)
        yield raw[begin:at]


def _listed(names: Mapping[str, Form]) -> str:
    return ", ".join(f"`{name}`" for name in names)
