"""Messages to the core and back; what blocks runs in threads. Contract: FilesService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC

from services.utility.files import listing, wire
from services.utility.files.batching import batches
from services.utility.files.jail import described
from services.utility.files.journal import Entry, microseconds
from services.utility.files.paths import parse_path
from services.utility.files.pieces import pieces
from services.utility.files.reading import Span
from services.utility.files.search import Tally, search
from services.utility.files.store import Store
from services.utility.files.uploads import Precondition, Upload, deliver
from services.utility.files.watch import looks
from tandem.utility.v1 import file_pb2 as nouns
from tandem.utility.v1 import files_service_pb2 as pb
from tandem.utility.v1 import files_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock
from tandemkit.rpc.context import Context


class Files(rpc.FilesServiceServicer):
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def ListFiles(
        self, request: pb.ListFilesRequest, context: Context
    ) -> pb.ListFilesResponse:
        walk = await asyncio.to_thread(self._store.walk, request.path, recursive=request.recursive)
        size = wire.page_size(request.page_size)
        page = await asyncio.to_thread(listing.page, walk, size, request.page_token)
        return pb.ListFilesResponse(files=page.files, next_page_token=page.next_page_token)

    async def StatFile(self, request: pb.StatFileRequest, context: Context) -> pb.StatFileResponse:
        parts = parse_path(request.path)
        status = await asyncio.to_thread(self._store.jail.stat, parts)
        return pb.StatFileResponse(file=described(parts, status))

    async def ReadFile(
        self, request: pb.ReadFileRequest, context: Context
    ) -> AsyncIterator[pb.ReadFileResponse]:
        span = Span(request.path, request.offset_bytes, request.length_bytes, request.etag)
        sent_bytes = 0
        async with aclosing(pieces(self._store.read(span))) as read:
            async for piece in read:
                if isinstance(piece, bytes):
                    sent_bytes += len(piece)
                    yield pb.ReadFileResponse(delta=pb.ReadFileResponse.Delta(content=piece))
                else:
                    yield pb.ReadFileResponse(started=pb.ReadFileResponse.Started(file=piece))
        yield pb.ReadFileResponse(finished=pb.ReadFileResponse.Finished(sent_bytes=sent_bytes))

    async def WriteFile(
        self, request: pb.WriteFileRequest, context: Context
    ) -> pb.WriteFileResponse:
        call = self._call(request.request_id, nouns.FILE_OPERATION_KIND_WRITE, request.path)
        operation = await self._write(call, wire.precondition(request), _chunks(request.content))
        return pb.WriteFileResponse(operation=operation)

    async def UploadFile(
        self, request_iterator: AsyncIterator[pb.UploadFileRequest], context: Context
    ) -> pb.UploadFileResponse:
        first = await anext(request_iterator, None)
        if first is None or not first.HasField("start"):
            raise wire.bad_request("an upload begins with its start", "part")
        start = first.start
        call = self._call(start.request_id, nouns.FILE_OPERATION_KIND_WRITE, start.path)
        content = _uploaded(request_iterator)
        operation = await self._write(call, wire.precondition(start), content)
        return pb.UploadFileResponse(operation=operation)

    async def CopyFile(self, request: pb.CopyFileRequest, context: Context) -> pb.CopyFileResponse:
        kind = nouns.FILE_OPERATION_KIND_COPY
        call = self._call(request.request_id, kind, request.path, request.source_path)
        content = self._content(Span(request.source_path, field="source_path"))
        operation = await self._write(call, Precondition(must_be_new=True), content)
        return pb.CopyFileResponse(operation=operation)

    async def MakeFolder(
        self, request: pb.MakeFolderRequest, context: Context
    ) -> pb.MakeFolderResponse:
        kind = nouns.FILE_OPERATION_KIND_MAKE_FOLDER
        call = self._call(request.request_id, kind, request.path)
        entry = await asyncio.to_thread(self._store.changes.make_folder, call)
        return pb.MakeFolderResponse(operation=wire.operation(entry))

    async def MoveFile(self, request: pb.MoveFileRequest, context: Context) -> pb.MoveFileResponse:
        kind = nouns.FILE_OPERATION_KIND_MOVE
        call = self._call(request.request_id, kind, request.path, request.source_path)
        entry = await asyncio.to_thread(self._store.changes.move, call, request.etag)
        return pb.MoveFileResponse(operation=wire.operation(entry))

    async def DeleteFile(
        self, request: pb.DeleteFileRequest, context: Context
    ) -> pb.DeleteFileResponse:
        call = self._call(request.request_id, nouns.FILE_OPERATION_KIND_DELETE, request.path)
        entry = await asyncio.to_thread(
            self._store.changes.delete, call, request.etag, recursive=request.recursive
        )
        return pb.DeleteFileResponse(operation=wire.operation(entry))

    async def SearchFiles(
        self, request: pb.SearchFilesRequest, context: Context
    ) -> AsyncIterator[pb.SearchFilesResponse]:
        query = wire.query(request, self._store.limits)
        walk = await asyncio.to_thread(self._store.walk, request.path, recursive=True)
        yield pb.SearchFilesResponse(started=pb.SearchFilesResponse.Started())
        tally = Tally()
        async with aclosing(pieces(search(walk, query, tally))) as searched:
            async for found in searched:
                for matches in batches(found):
                    delta = pb.SearchFilesResponse.Delta(matches=matches)
                    yield pb.SearchFilesResponse(delta=delta)
        yield pb.SearchFilesResponse(finished=wire.search_finished(tally))

    async def WatchFiles(
        self, request: pb.WatchFilesRequest, context: Context
    ) -> AsyncIterator[pb.WatchFilesResponse]:
        walk = await asyncio.to_thread(self._store.walk, request.path, recursive=request.recursive)
        async with aclosing(looks(walk)) as seen:
            async for look in seen:
                for response in wire.watched(look):
                    yield response

    async def ListTrash(
        self, request: pb.ListTrashRequest, context: Context
    ) -> pb.ListTrashResponse:
        size, before = wire.page_size(request.page_size), wire.sequence(request.page_token)
        found = await asyncio.to_thread(self._store.retention.trashed, before, size + 1)
        return wire.trash_page(found, size)

    async def UndoOperation(
        self, request: pb.UndoOperationRequest, context: Context
    ) -> pb.UndoOperationResponse:
        entry = await asyncio.to_thread(self._store.history.undo, wire.id_of(request.name))
        return pb.UndoOperationResponse(operation=wire.operation(entry))

    async def PurgeTrash(
        self, request: pb.PurgeTrashRequest, context: Context
    ) -> pb.PurgeTrashResponse:
        retention = self._store.retention
        if request.HasField("name"):
            purged = await asyncio.to_thread(retention.purge_one, wire.id_of(request.name))
        else:
            before = request.created_before.ToDatetime(tzinfo=UTC)
            purged = await asyncio.to_thread(retention.purge_before, before)
        return pb.PurgeTrashResponse(
            entries_count=purged.entries_count, freed_bytes=purged.freed_bytes
        )

    def _call(
        self,
        request_id: str,
        kind: nouns.FileOperationKind.ValueType,
        path: str,
        source_path: str = "",
    ) -> Entry:
        return Entry(request_id, kind, path, source_path, microseconds(self._clock.now()))

    async def _write(
        self, call: Entry, precondition: Precondition, content: AsyncGenerator[bytes, None]
    ) -> nouns.FileOperation:
        entry = await deliver(Upload(self._store.desk, call, precondition), content)
        return wire.operation(entry)

    async def _content(self, span: Span) -> AsyncGenerator[bytes, None]:
        async with aclosing(pieces(self._store.read(span))) as read:
            async for piece in read:
                if isinstance(piece, bytes):
                    yield piece


async def _chunks(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content


async def _uploaded(parts: AsyncIterator[pb.UploadFileRequest]) -> AsyncGenerator[bytes, None]:
    async for part in parts:
        if part.HasField("start"):
            raise wire.bad_request("an upload has one start", "part")
        yield part.chunk
