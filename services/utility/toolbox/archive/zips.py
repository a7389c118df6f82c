"""ZIP archives: written the same way each time, and read with nothing taken on trust."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from typing import Final

from services.utility.toolbox.archive.entries import (
    READ_BYTES,
    Entry,
    Meter,
    Paths,
    invalid,
    refusal,
)

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3
_LOCAL_HEADER_BYTES: Final = 30
_ENCRYPTED_FLAGS: Final = 0x1 | 0x40 | 0x2000
# All that the library says of bytes it cannot read.
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
)
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def pack(entries: Iterable[Entry]) -> bytes:
    """Writes entries in their order, at the first moment that the format knows."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for entry in entries:
            archive.writestr(_header(entry), entry.content or b"")
    return target.getvalue()


def unpack(source: bytes, meter: Meter) -> list[Entry]:
    """Reads all entries, or raises. The whole list of contents is checked before any is read."""
    try:
        with zipfile.ZipFile(io.BytesIO(source)) as archive:
            listed = archive.infolist()
            paths = Paths()
            for info in listed:
                meter.entry()
                _check(info)
                paths.admit(_path(info), directory=info.is_dir())
            _check_overlap(listed, archive.start_dir)
            meter.expect(sum(info.file_size for info in listed))
            return [_entry(archive, info, meter) for info in listed]
    except _DAMAGE as damaged:
        raise invalid("the ZIP archive is damaged or of an unknown kind") from damaged


def _header(entry: Entry) -> zipfile.ZipInfo:
    directory = entry.content is None
    info = zipfile.ZipInfo(f"{entry.path}/" if directory else entry.path, _EPOCH)
    info.create_system = _UNIX
    info.compress_type = zipfile.ZIP_STORED if directory else zipfile.ZIP_DEFLATED
    kind = stat.S_IFDIR if directory else stat.S_IFREG
    mode = 0o755 if directory or entry.executable else 0o644
    info.external_attr = (kind | mode) << 16 | (0x10 if directory else 0)
    return info


def _path(info: zipfile.ZipInfo) -> str:
    return info.filename.removesuffix("/")


def _check(info: zipfile.ZipInfo) -> None:
    if "\0" in info.orig_filename or "\\" in info.orig_filename:
        raise refusal("the path has a NUL or a backslash", info.orig_filename)
    if info.flag_bits & _ENCRYPTED_FLAGS:
        raise refusal("the entry is encrypted", info.filename)
    if info.compress_type not in _METHODS:
        raise refusal("the entry is packed by a method other than deflate", info.filename)
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == _UNIX else 0
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refusal("the entry is a link or a device", info.filename)
    if info.is_dir() and info.file_size:
        raise refusal("the entry is a directory with content", info.filename)


def _check_overlap(listed: list[zipfile.ZipInfo], end: int) -> None:
    """Entries that share packed bytes multiply them: the bomb that no other limit sees early."""
    position = 0
    for info in sorted(listed, key=lambda info: info.header_offset):
        if info.header_offset < position:
            raise refusal("the entry overlaps another", info.filename)
        name_bytes = len(info.orig_filename.encode())
        position = info.header_offset + _LOCAL_HEADER_BYTES + name_bytes + info.compress_size
    if position > end:
        raise invalid("an entry reaches into the list of contents")


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, meter: Meter) -> Entry:
    if info.is_dir():
        return Entry(_path(info))
    content = bytearray()
    with archive.open(info) as source:
        while piece := source.read(READ_BYTES):
            meter.content(len(piece))
            content += piece
    executable = info.create_system == _UNIX and bool(info.external_attr >> 16 & stat.S_IXUSR)
    return Entry(_path(info), bytes(content), executable)
