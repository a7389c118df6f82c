"""Files of models in the form that llama.cpp and Ollama load: GGUF, version 3, with weights of 32
bits.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Kinds of tokens of a vocabulary.
NORMAL, UNKNOWN, CONTROL = 1, 2, 3
_ALIGNMENT: Final = 32
# Kinds of values.
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9

Value = bool | int | float | str | Sequence[int] | Sequence[float] | Sequence[str]
Weights = NDArray[np.float32]


def write(path: Path, facts: Mapping[str, Value], tensors: Mapping[str, Weights]) -> Path:
    """Replaces what is there."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts))
    head += b"".join(_string(name) + _typed(value) for name, value in facts.items())
    begins = 0
    for name, tensor in tensors.items():
        shape = tensor.shape[::-1]
        dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        # Its kind is 0: 32-bit numbers.
        head += _string(name) + dimensions + struct.pack("<IQ", 0, begins)
        begins += tensor.nbytes + _padding(tensor.nbytes)
    with path.open("wb") as file:
        file.write(head + b"\0" * _padding(len(head)))
        for tensor in tensors.values():
            file.write(tensor.tobytes() + b"\0" * _padding(tensor.nbytes))
    return path


def _typed(value: Value) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", _BOOL, value)
        case int():
            return struct.pack("<II", _UINT32, value)
        case float():
            return struct.pack("<If", _FLOAT32, value)
        case str():
            return struct.pack("<I", _STRING) + _string(value)
    match value[0]:
        case str():
            kind, items = _STRING, b"".join(_string(str(item)) for item in value)
        case int():
            kind, items = _INT32, struct.pack(f"<{len(value)}i", *value)
        case _:
            kind, items = _FLOAT32, struct.pack(f"<{len(value)}f", *value)
    return struct.pack("<IIQ", _ARRAY, kind, len(value)) + items


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _padding(length: int) -> int:
    return -length % _ALIGNMENT
