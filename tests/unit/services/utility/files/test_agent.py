from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from services.utility.files.agent import AGENT
from services.utility.files.paths import TRASH_NAME
from tandem.utility.config.v1 import files_pb2 as cfg
from tandem.utility.v1 import file_pb2 as nouns
from tandem.utility.v1 import files_service_pb2 as pb
from tandem.utility.v1 import files_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving
from tandemkit.testing.clock import FakeClock
from tandemkit.testing.failures import Failure, failure_of


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def files(
    tmp_path: Path, root: Path, clock: FakeClock
) -> AsyncIterator[rpc.FilesServiceAsyncStub]:
    settings = cfg.FilesSettings(root=str(root))
    async with serving(AGENT, settings=settings, state_dir=tmp_path, clock=clock) as channel:
        yield rpc.FilesServiceStub(channel)


async def _write(
    files: rpc.FilesServiceAsyncStub, request_id: str, path: str, content: bytes
) -> nouns.FileOperation:
    request = pb.WriteFileRequest(request_id=request_id, path=path, content=content)
    response = await files.WriteFile(request)
    return response.operation


async def _content(files: rpc.FilesServiceAsyncStub, path: str) -> bytes:
    call = files.ReadFile(pb.ReadFileRequest(path=path))
    return b"".join([piece.delta.content async for piece in call])


async def _failure(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


async def test_a_file_is_written_and_read_back(files: rpc.FilesServiceAsyncStub) -> None:
    """What was written comes back in pieces between a started and a finished event."""
    content = bytes(range(256)) * 1024
    operation = await _write(files, "one", "file", content)
    pieces = [piece async for piece in files.ReadFile(pb.ReadFileRequest(path="file"))]
    assert pieces[0].started.file.etag == operation.etag
    assert b"".join(piece.delta.content for piece in pieces[1:-1]) == content
    assert pieces[-1].finished.sent_bytes == len(content) == operation.size_bytes


async def test_a_large_file_is_uploaded_in_chunks(files: rpc.FilesServiceAsyncStub) -> None:
    """More than one message holds arrives as one file, and a retry with its id writes nothing."""
    start = pb.UploadFileRequest.Start(request_id="one", path="file")
    parts = [pb.UploadFileRequest(start=start)]
    parts += [pb.UploadFileRequest(chunk=bytes([number]) * 500_000) for number in range(12)]
    first = await files.UploadFile(iter(parts))
    assert first.operation.size_bytes == 6_000_000
    assert await files.UploadFile(iter(parts)) == first
    copied = await files.CopyFile(
        pb.CopyFileRequest(request_id="two", source_path="file", path="copy")
    )
    assert copied.operation.size_bytes == 6_000_000
    assert await _content(files, "copy") == b"".join(part.chunk for part in parts)


async def test_an_upload_out_of_order_is_refused(files: rpc.FilesServiceAsyncStub) -> None:
    """An upload begins with its start, has only one, and leaves nothing if not."""
    start = pb.UploadFileRequest(start=pb.UploadFileRequest.Start(request_id="one", path="file"))
    chunk = pb.UploadFileRequest(chunk=b"content")
    for parts in ([], [chunk], [start, chunk, start]):
        failure = await _failure(files.UploadFile(iter(parts)))
        assert failure.reason == "BAD_FILE_REQUEST"
    assert (
        await _failure(files.StatFile(pb.StatFileRequest(path="file")))
    ).reason == "FILE_NOT_FOUND"


async def test_an_upload_whose_caller_goes_leaves_nothing(
    files: rpc.FilesServiceAsyncStub, root: Path
) -> None:
    """A stream that breaks off is forgotten: no file, no trash, and its id is free."""
    call = files.UploadFile()
    start = pb.UploadFileRequest.Start(request_id="one", path="file")
    await call.write(pb.UploadFileRequest(start=start))
    await call.write(pb.UploadFileRequest(chunk=b"half of it"))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    # Until the server has cleared up, the id is taken: the answer says so, and to come back.
    while (again := await _write_or_failure(files, "one", "file", b"all of it")) is None:
        pass
    assert again.size_bytes == 9
    assert list((root / TRASH_NAME).iterdir()) == []


async def _write_or_failure(
    files: rpc.FilesServiceAsyncStub, request_id: str, path: str, content: bytes
) -> nouns.FileOperation | None:
    """None while the same call is still in progress."""
    try:
        return await _write(files, request_id, path, content)
    except grpc.aio.AioRpcError as error:
        failure = failure_of(error)
        if failure.reason != "REQUEST_ID_TAKEN" or failure.retry_after_s is None:
            raise
        return None


async def test_a_failure_says_which_path_and_why(
    files: rpc.FilesServiceAsyncStub, root: Path
) -> None:
    """The reason, its code and its domain cross the wire with the path at fault."""
    (root / "link").symlink_to("/etc")
    stat = await _failure(files.ListFiles(pb.ListFilesRequest(path="link")))
    assert (stat.code, stat.reason) == (grpc.StatusCode.PERMISSION_DENIED, "LINK_REFUSED")
    assert (stat.domain, stat.metadata) == ("tandem.utility.v1", {"path": "link"})
    escape = await _failure(files.StatFile(pb.StatFileRequest(path="../journal.sqlite")))
    assert (escape.code, escape.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_PATH")
    assert list(escape.violations) == ["path"]


async def test_a_broken_rule_names_its_field(files: rpc.FilesServiceAsyncStub) -> None:
    """What the contract's own rules forbid never reaches the agent."""
    for request, field in (
        (pb.WriteFileRequest(request_id="One", path="file"), "request_id"),
        (pb.WriteFileRequest(request_id="one"), "path"),
        (pb.WriteFileRequest(request_id="one", path="file", must_be_new=False), "must_be_new"),
    ):
        failure = await _failure(files.WriteFile(request))
        assert (failure.reason, list(failure.violations)) == ("INVALID_REQUEST", [field])


async def test_folders_move_and_come_back(files: rpc.FilesServiceAsyncStub) -> None:
    """Folders are made, listed, moved, deleted and brought back over the wire."""
    await files.MakeFolder(pb.MakeFolderRequest(request_id="1", path="a/b"))
    await _write(files, "2", "a/b/file", b"content")
    await files.MoveFile(pb.MoveFileRequest(request_id="3", source_path="a/b", path="c"))
    await files.DeleteFile(pb.DeleteFileRequest(request_id="4", path="c", recursive=True))
    listed = await files.ListFiles(pb.ListFilesRequest(recursive=True))
    assert [file.path for file in listed.files] == ["a"]
    trash = await files.ListTrash(pb.ListTrashRequest())
    assert [one.operation.path for one in trash.trashed_files] == ["c"]
    undone = await files.UndoOperation(
        pb.UndoOperationRequest(name=trash.trashed_files[0].operation.name)
    )
    assert undone.operation.state == nouns.FILE_OPERATION_STATE_UNDONE
    assert await _content(files, "c/file") == b"content"


async def test_undo_works_after_a_restart_of_the_agent(tmp_path: Path) -> None:
    """An agent with default settings, started again over its state, takes back what it did."""
    async with serving(AGENT, state_dir=tmp_path) as channel:
        files = rpc.FilesServiceStub(channel)
        await _write(files, "one", "file", b"first")
        overwritten = await _write(files, "two", "file", b"second")
    async with serving(AGENT, state_dir=tmp_path) as channel:
        files = rpc.FilesServiceStub(channel)
        await files.UndoOperation(pb.UndoOperationRequest(name=overwritten.name))
        assert await _content(files, "file") == b"first"
        assert (await _write(files, "one", "file", b"first")).name == "operations/one"


async def test_a_change_after_started_reaches_the_watcher(files: rpc.FilesServiceAsyncStub) -> None:
    """Whatever happens once `started` has come is told, with no pause between."""
    call = files.WatchFiles(pb.WatchFilesRequest(recursive=True))
    told = aiter(call)
    assert (await anext(told)).HasField("started")
    await _write(files, "one", "file", b"content")
    changes = (await anext(told)).delta.changes
    assert [one.kind for one in changes] == [nouns.FILE_CHANGE_KIND_CREATED]
    assert changes[0].file.path == "file"
    call.cancel()


async def test_a_watch_ends_with_its_folder(files: rpc.FilesServiceAsyncStub) -> None:
    """When the watched folder goes, the stream finishes and ends well."""
    await files.MakeFolder(pb.MakeFolderRequest(request_id="1", path="folder"))
    told = aiter(files.WatchFiles(pb.WatchFilesRequest(path="folder")))
    await anext(told)
    await files.DeleteFile(pb.DeleteFileRequest(request_id="2", path="folder"))
    assert [one.WhichOneof("event") async for one in told] == ["finished"]


async def test_a_search_tells_what_it_found(files: rpc.FilesServiceAsyncStub) -> None:
    """Matches come between a started and a finished event, which counts."""
    await _write(files, "one", "file.txt", b"one\ntwo\n")
    request = pb.SearchFilesRequest(name_glob="*.txt", content_pattern="w")
    pieces = [piece async for piece in files.SearchFiles(request)]
    assert [piece.WhichOneof("event") for piece in pieces] == ["started", "delta", "finished"]
    assert pieces[1].delta.matches[0].excerpt == "two"
    assert pieces[2].finished.names_selected == 1


async def test_a_search_ends_with_its_callers_deadline(
    files: rpc.FilesServiceAsyncStub, root: Path
) -> None:
    """A search that takes longer than its caller waits is over, and the next call is served at
    once.
    """
    for number in range(40):
        (root / f"file-{number}").write_bytes(b"some text to look through\n" * 100_000)
    request = pb.SearchFilesRequest(content_pattern="(.*)(.*)(.*)never")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        _ = [piece async for piece in files.SearchFiles(request, timeout=0.05)]
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await files.StatFile(pb.StatFileRequest())).file.kind == nouns.FILE_KIND_FOLDER


async def test_the_trash_is_swept_when_its_time_is_over(
    files: rpc.FilesServiceAsyncStub, root: Path, clock: FakeClock
) -> None:
    """What is older than the retention is gone with the next sweep, what is younger stays."""
    await _write(files, "one", "old", b"content")
    await files.DeleteFile(pb.DeleteFileRequest(request_id="two", path="old"))
    await clock.advance(timedelta(days=29).total_seconds())
    await _write(files, "three", "new", b"content")
    await files.DeleteFile(pb.DeleteFileRequest(request_id="four", path="new"))
    await clock.advance(timedelta(days=1).total_seconds())
    # A sweep works in a thread, for which the clock does not wait: some hours may pass by it.
    while [path.name for path in (root / TRASH_NAME).iterdir()] != ["four"]:
        await clock.advance(timedelta(hours=1).total_seconds())
        await files.StatFile(pb.StatFileRequest())
    failure = await _failure(files.UndoOperation(pb.UndoOperationRequest(name="operations/two")))
    assert failure.reason in {"OPERATION_NOT_FOUND", "CANNOT_UNDO"}


async def test_the_trash_is_paged_and_purged(
    files: rpc.FilesServiceAsyncStub, clock: FakeClock
) -> None:
    """Pages show the newest first, each entry once; a purge takes what is older than asked."""
    for number in range(5):
        await _write(files, f"write-{number}", f"file-{number}", b"content")
        await files.DeleteFile(
            pb.DeleteFileRequest(request_id=f"delete-{number}", path=f"file-{number}")
        )
    names: list[str] = []
    token = ""
    while not names or token:
        page = await files.ListTrash(pb.ListTrashRequest(page_size=2, page_token=token))
        names += [one.name for one in page.trashed_files]
        token = page.next_page_token
    assert names == [f"trash/delete-{number}" for number in (4, 3, 2, 1, 0)]
    one = await files.PurgeTrash(pb.PurgeTrashRequest(name=names[0]))
    assert (one.entries_count, one.freed_bytes) == (1, 7)
    request = pb.PurgeTrashRequest()
    request.created_before.FromDatetime(clock.now() + timedelta(seconds=1))
    assert (await files.PurgeTrash(request)).entries_count == 4
    bad = await _failure(files.ListTrash(pb.ListTrashRequest(page_token="-1")))
    assert bad.reason == "BAD_FILE_REQUEST"
