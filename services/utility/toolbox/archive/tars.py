"""tar archives, plain or compressed. They are decompressed whole first, under a limit, so that no
header can ask for more than was counted.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterable
from enum import Enum
from typing import IO, Final

import zstandard

from services.utility.toolbox.archive.entries import (
    READ_BYTES,
    Entry,
    Meter,
    Paths,
    invalid,
    refusal,
)
from services.utility.toolbox.offload import checkpoint
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError

_BLOCK_BYTES: Final = 512
# Headers of one entry: its own, and a pax header with its data. Twenty are a whole record.
_HEADER_BYTES: Final = 8 * _BLOCK_BYTES
_TRAILER_BYTES: Final = 20 * _BLOCK_BYTES
_WINDOW_BYTES_MAX: Final = 8 * 1024 * 1024
_ZSTANDARD_LEVEL: Final = 9
_GZIP_LEVEL: Final = 9


class Compression(Enum):
    """What a tar archive is wrapped in."""

    NONE = "none"
    GZIP = "gzip"
    ZSTANDARD = "zstandard"


def pack(entries: Iterable[Entry], compression: Compression) -> bytes:
    """Writes entries in their order, without times and owners."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            archive.addfile(_header(entry), io.BytesIO(entry.content or b""))
    return _compressed(target.getvalue(), compression)


def unpack(
    source: bytes, compression: Compression, meter: Meter, *, entries_max: int
) -> list[Entry]:
    """Reads all entries, or raises."""
    try:
        plain = _plain(source, compression, meter.left_bytes + _overhead_bytes(entries_max))
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
            paths = Paths()
            entries = [_entry(archive, info, paths, meter) for info in archive]
            _check_end(plain, archive.offset)
            return entries
    except (
        tarfile.TarError,
        zstandard.ZstdError,
        zlib.error,
        OSError,
        EOFError,
        ValueError,
    ) as bad:
        raise invalid("the tar archive is damaged or not of the format named") from bad


def _check_end(plain: bytes, offset: int) -> None:
    """Only zeros may follow the last entry, and some must: the library takes a damaged header for
    the end, and would unpack half an archive without a word.
    """
    if len(plain) - offset < _BLOCK_BYTES or plain[offset:].strip(b"\0"):
        raise invalid("the tar archive does not end where its last entry does")


def _overhead_bytes(entries_max: int) -> int:
    return entries_max * (_HEADER_BYTES + _BLOCK_BYTES) + _TRAILER_BYTES


def _compressed(plain: bytes, compression: Compression) -> bytes:
    match compression:
        case Compression.NONE:
            return plain
        case Compression.GZIP:
            return gzip.compress(plain, _GZIP_LEVEL, mtime=0)
        case Compression.ZSTANDARD:
            return zstandard.ZstdCompressor(level=_ZSTANDARD_LEVEL).compress(plain)


def _plain(source: bytes, compression: Compression, bytes_max: int) -> bytes:
    """The bytes inside, read piece by piece: the limit holds while unpacking, not after."""
    plain = bytearray()
    with _opened(source, compression) as stream:
        while piece := stream.read(READ_BYTES):
            checkpoint()
            plain += piece
            if len(plain) > bytes_max:
                raise CallerError(
                    errors.ERROR_REASON_TOO_LARGE,
                    "the archive holds more than the limit",
                    field="archive",
                    bytes_max=bytes_max,
                )
    return bytes(plain)


def _opened(source: bytes, compression: Compression) -> IO[bytes] | gzip.GzipFile:
    raw = io.BytesIO(source)
    match compression:
        case Compression.NONE:
            return raw
        case Compression.GZIP:
            return gzip.GzipFile(fileobj=raw)
        case Compression.ZSTANDARD:
            reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX)
            return reader.stream_reader(raw, read_across_frames=True)


def _header(entry: Entry) -> tarfile.TarInfo:
    info = tarfile.TarInfo(entry.path)
    directory = entry.content is None
    info.type = tarfile.DIRTYPE if directory else tarfile.REGTYPE
    info.mode = 0o755 if directory or entry.executable else 0o644
    info.size = len(entry.content or b"")
    return info


def _entry(archive: tarfile.TarFile, info: tarfile.TarInfo, paths: Paths, meter: Meter) -> Entry:
    meter.entry()
    if info.issparse() or not (info.isreg() or info.isdir()):
        raise refusal("the entry is a link, a device or a sparse file", info.name)
    paths.admit(info.name, directory=info.isdir())
    if info.isdir():
        return Entry(info.name)
    meter.expect(info.size)
    source = archive.extractfile(info)
    assert source is not None
    content = source.read()
    if len(content) != info.size:
        raise invalid("the tar archive ends inside an entry")
    meter.content(len(content))
    return Entry(info.name, content, bool(info.mode & 0o100))
