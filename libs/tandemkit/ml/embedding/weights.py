"""Weights as they lie in a file of safetensors: mapped, so that all processes of a machine share
one copy, of which those pages are in memory that are used.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from pathlib import Path
from typing import Any

import numpy as np

from tandemkit.ml.embedding.bert import Floats
from tandemkit.reach.failure import Refused

_HEADER_BYTES_MAX = 16 * 1024 * 1024
_LENGTH_BYTES = 8
_FLOAT = "F32"


def mapped(path: Path) -> dict[str, Floats]:
    """Its arrays of 32-bit floats by name. They end with the last of them that is used. Raises
    Refused for what is no such file, and OSError.
    """
    with path.open("rb") as file:
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    length = int.from_bytes(whole[:_LENGTH_BYTES], "little")
    try:
        # A length that is none reads as far as the file goes, at most.
        header = json.loads(whole[_LENGTH_BYTES : _LENGTH_BYTES + min(length, _HEADER_BYTES_MAX)])
        header.pop("__metadata__", None)
        return {
            name: _array(whole, _LENGTH_BYTES + length, said)
            for name, said in header.items()
            if said["dtype"] == _FLOAT
        }
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Refused("the weights are no file of safetensors", file=path) from error


def _array(whole: mmap.mmap, base: int, said: dict[str, Any]) -> Floats:
    begins, ends = said["data_offsets"]
    count = (ends - begins) // 4
    return np.frombuffer(whole, np.dtype("<f4"), count, base + begins).reshape(said["shape"])


def digest(path: Path) -> str:
    """Its SHA-256, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
