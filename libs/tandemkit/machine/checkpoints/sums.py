"""What a file was, in numbers: a digest of all of it, and a sum of each block, which says where it
is no longer what it was.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

PLAIN_BLOCK_BYTES = 1024 * 1024
_READ_BYTES = 1024 * 1024
_SUM = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one content."""

    size: int
    digest: bytes
    block_bytes: int
    blocks: bytes

    def differing(self, other: Sums) -> list[int]:
        """Numbers of the blocks that are not the same, from 0 on; those that only one has too."""
        ours, theirs = list(_each(self.blocks)), list(_each(other.blocks))
        count = max(len(ours), len(theirs))
        return [number for number in range(count) if _at(ours, number) != _at(theirs, number)]


def sums_of(content: BinaryIO, block_bytes: int) -> Sums:
    """Reads it to its end."""
    whole, blocks, size = hashlib.sha256(), bytearray(), 0
    while part := content.read(max(block_bytes, _READ_BYTES // block_bytes * block_bytes)):
        whole.update(part)
        size += len(part)
        for start in range(0, len(part), block_bytes):
            blocks += _SUM.pack(zlib.crc32(part[start : start + block_bytes]))
    return Sums(size, whole.digest(), block_bytes, bytes(blocks))


def opened(path: Path, *, compressed: bool) -> BinaryIO:
    """Its content, as it was in the home."""
    return cast("BinaryIO", gzip.open(path, "rb")) if compressed else path.open("rb")


def _each(blocks: bytes) -> Iterator[int]:
    return (found for (found,) in _SUM.iter_unpack(blocks))


def _at(sums: list[int], number: int) -> int | None:
    return sums[number] if number < len(sums) else None
