"""New content for a path: from a message, a stream or another file. It shows with `publish`."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from services.utility.files.history import History
from services.utility.files.jail import Jail, check_etag, check_plain_file, etag_of
from services.utility.files.journal import Entry
from services.utility.files.paths import parse_path
from services.utility.files.refusal import refused
from services.utility.files.staging import Quota, StagedFile
from services.utility.files.trash import Trash
from tandem.utility.v1 import errors_pb2 as errors
from tandemkit.core.errors import Bug


@dataclass(frozen=True)
class Precondition:
    """What must hold at the path for the content to go there."""

    etag: str = ""
    must_be_new: bool = False


@dataclass(frozen=True)
class UploadDesk:
    """What every upload works with."""

    jail: Jail
    trash: Trash
    history: History
    quota: Quota
    file_bytes_max: int


class Upload:
    """One write under way, from `begin` to `abandon`, which must be called whatever happened: after
    `publish` it only closes. It may be called while another method still runs in a thread whose
    caller has gone; it waits for that.
    """

    def __init__(self, desk: UploadDesk, call: Entry, precondition: Precondition) -> None:
        self._desk, self._call, self._precondition = desk, call, precondition
        self._parts = parse_path(call.path)
        self._turn = threading.Lock()
        self._is_claimed = False
        self._staged: StagedFile | None = None

    def begin(self) -> Entry | None:
        """Gets ready for content; or what the same call came to before, and nothing is to do."""
        with self._turn:
            known = self._desk.history.claim(self._call)
            if known is not None:
                return known
            self._is_claimed = True
            # Now, so that nobody sends what cannot be written; and again when it is published.
            self._target()
            descriptor = self._desk.trash.create_file(self._call.id)
            self._staged = StagedFile(descriptor, self._desk.quota, self._desk.file_bytes_max)
            return None

    def write(self, content: bytes) -> None:
        with self._turn:
            self._file.write(content)

    def publish(self) -> Entry:
        with self._turn:
            status = self._file.finish()
            return self._desk.history.carry_out(lambda: self._plan(status))

    def abandon(self) -> None:
        with self._turn:
            if self._staged is not None:
                self._staged.close()
                self._staged = None
            if self._is_claimed:
                self._desk.history.abandon(self._call.id)

    @property
    def _file(self) -> StagedFile:
        if self._staged is None:
            raise Bug("the upload is not open")
        return self._staged

    def _plan(self, status: os.stat_result) -> Entry:
        replaced = self._target()
        if replaced is not None:
            self._file.adopt_mode(replaced)
        return replace(
            self._call,
            arrival=self._call.path,
            swap=replaced is not None,
            inode=status.st_ino,
            etag=etag_of(status),
            size_bytes=status.st_size,
        )

    def _target(self) -> os.stat_result | None:
        """What will be replaced; None if the path is free."""
        status = self._desk.jail.find(self._parts)
        if status is None:
            if self._precondition.etag:
                raise refused(
                    errors.ERROR_REASON_FILE_NOT_FOUND, "there is no such file", self._parts
                )
            return None
        if self._precondition.must_be_new:
            raise refused(errors.ERROR_REASON_FILE_EXISTS, "the path is taken", self._parts)
        check_plain_file(status, self._parts)
        check_etag(status, self._precondition.etag, self._parts)
        return status


async def deliver(upload: Upload, content: AsyncGenerator[bytes, None]) -> Entry:
    """The whole of an upload. A caller that goes, or whose time is up, leaves nothing behind."""
    try:
        known = await asyncio.to_thread(upload.begin)
        if known is not None:
            return known
        async with aclosing(content):
            async for chunk in content:
                await asyncio.to_thread(upload.write, chunk)
        return await asyncio.to_thread(upload.publish)
    finally:
        await asyncio.to_thread(upload.abandon)
