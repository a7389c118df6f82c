"""The archive part of the service: messages in, messages out. All of it runs in threads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.utility.toolbox import offload
from services.utility.toolbox.archive import tars, zips
from services.utility.toolbox.archive.entries import Entry, Meter, Paths
from services.utility.toolbox.limits import Limits, refuse_above
from tandem.utility.v1 import archive_pb2 as pb
from tandem.utility.v1 import toolbox_service_pb2_grpc as rpc
from tandemkit.rpc.context import Context

_COMPRESSIONS: Final[dict[int, tars.Compression]] = {
    pb.ARCHIVE_FORMAT_TAR: tars.Compression.NONE,
    pb.ARCHIVE_FORMAT_TAR_GZIP: tars.Compression.GZIP,
    pb.ARCHIVE_FORMAT_TAR_ZSTANDARD: tars.Compression.ZSTANDARD,
}


class ArchiveCalls(rpc.ToolboxServiceServicer):
    """Archives."""

    _limits: Limits

    async def CreateArchive(
        self, request: pb.CreateArchiveRequest, context: Context
    ) -> pb.CreateArchiveResponse:
        entries = [_entry(message) for message in request.entries]
        archive = await offload.in_thread(_pack, entries, request.format, self._limits)
        return pb.CreateArchiveResponse(archive=archive)

    async def ListArchive(
        self, request: pb.ListArchiveRequest, context: Context
    ) -> pb.ListArchiveResponse:
        entries = await offload.in_thread(_unpack, request.archive, request.format, self._limits)
        return pb.ListArchiveResponse(entries=map(_line, entries))

    async def ExtractArchive(
        self, request: pb.ExtractArchiveRequest, context: Context
    ) -> pb.ExtractArchiveResponse:
        entries = await offload.in_thread(_unpack, request.archive, request.format, self._limits)
        return pb.ExtractArchiveResponse(entries=map(_message, entries))


def _pack(entries: list[Entry], archive_format: int, limits: Limits) -> bytes:
    _check(entries, limits)
    compression = _COMPRESSIONS.get(archive_format)
    archive = zips.pack(entries) if compression is None else tars.pack(entries, compression)
    refuse_above(limits.archive_bytes_max, len(archive), "entries")
    return archive


def _check(entries: Iterable[Entry], limits: Limits) -> None:
    """What is packed must unpack: the same paths and limits hold in both directions."""
    paths = Paths()
    content_bytes = 0
    for count, entry in enumerate(entries, start=1):
        refuse_above(limits.archive_entries_max, count, "entries", unit="entries")
        paths.admit(entry.path, directory=entry.content is None)
        content_bytes += len(entry.content or b"")
        refuse_above(limits.archive_content_bytes_max, content_bytes, "entries")


def _unpack(archive: bytes, archive_format: int, limits: Limits) -> list[Entry]:
    refuse_above(limits.archive_bytes_max, len(archive), "archive")
    meter = Meter(limits, len(archive))
    compression = _COMPRESSIONS.get(archive_format)
    if compression is None:
        return zips.unpack(archive, meter)
    return tars.unpack(archive, compression, meter, entries_max=limits.archive_entries_max)


def _entry(message: pb.ArchiveEntry) -> Entry:
    if message.HasField("directory"):
        return Entry(message.path)
    return Entry(message.path, message.file.content, message.file.executable)


def _message(entry: Entry) -> pb.ArchiveEntry:
    if entry.content is None:
        return pb.ArchiveEntry(path=entry.path, directory=pb.ArchivedDirectory())
    file = pb.ArchivedFile(content=entry.content, executable=entry.executable)
    return pb.ArchiveEntry(path=entry.path, file=file)


def _line(entry: Entry) -> pb.ListedEntry:
    return pb.ListedEntry(
        path=entry.path,
        bytes=len(entry.content or b""),
        directory=entry.content is None,
        executable=entry.executable,
    )
