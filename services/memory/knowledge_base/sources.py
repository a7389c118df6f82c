"""Where the documents of an ingest come from: the call that asked for it, or a folder."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass, replace
from typing import Final

from services.memory.knowledge_base.folders import FileTooLarge, Jail
from services.memory.knowledge_base.ledger import Entry, Item
from services.memory.knowledge_base.names import OWN_FOLDER
from services.memory.knowledge_base.reading import Text, read
from tandem.memory.v1 import ingest_pb2 as nouns
from tandemkit.core import log
from tandemkit.hosting.working import Workshop
from tandemkit.ml.documents.document import Cause
from tandemkit.rpc.failure import Refused
from tandemkit.supervise.tasks import failure_of

_LOGGER = logging.getLogger("services.memory")
_FAULTS: Final = {
    Cause.TOO_LARGE: nouns.DOCUMENT_FAULT_TOO_LARGE,
    Cause.UNKNOWN_TYPE: nouns.DOCUMENT_FAULT_MEDIA_TYPE_UNKNOWN,
    Cause.NOT_TEXT: nouns.DOCUMENT_FAULT_UNREADABLE,
    Cause.NO_TEXT: nouns.DOCUMENT_FAULT_NO_TEXT,
    Cause.ENCRYPTED: nouns.DOCUMENT_FAULT_UNREADABLE,
    Cause.BROKEN: nouns.DOCUMENT_FAULT_UNREADABLE,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document, and one ingest, may cost."""

    bytes_max: int
    documents_max: int
    parse_s_max: float


@dataclass(frozen=True, slots=True)
class Sources:
    """Files are read in threads, and what they say in processes."""

    jail: Jail
    workshop: Workshop
    limits: Limits

    async def listed(self, one: Entry) -> list[Item]:
        """What its folder has. Raises FolderRefused, FolderMissing, TooMany."""
        return [
            Item(
                document_id("f", f"{one.folder}\0{path}".encode()),
                f"file://{one.folder.rstrip('/')}/{path}",
                path,
                "",
                one.subjects,
                b"",
            )
            for path in await self._files(one)
        ]

    async def there(self, one: Entry) -> frozenset[str]:
        """Paths that its folder has now: none where its documents came with the order. Raises the
        same.
        """
        return frozenset() if one.folder == OWN_FOLDER else frozenset(await self._files(one))

    async def _files(self, one: Entry) -> list[str]:
        return await asyncio.to_thread(
            self.jail.files, one.folder, one.patterns, self.limits.documents_max
        )

    async def filled(self, one: Entry, item: Item) -> Item:
        """With its content. Raises FileGone, FileTooLarge besides."""
        if item.content:
            if len(item.content) > self.limits.bytes_max:
                raise FileTooLarge("the document is too large", bytes_max=self.limits.bytes_max)
            return item
        content = await asyncio.to_thread(
            self.jail.read, one.folder, item.path, self.limits.bytes_max
        )
        return replace(item, content=content)

    async def text(self, item: Item) -> Text | int:
        """What it says, or its fault."""
        found: list[Text | Cause] = []

        async def work() -> None:
            name = item.uri or item.path
            async with asyncio.timeout(self.limits.parse_s_max):
                found.append(await self.workshop.run(read, item.content, item.media_type, name))

        # Whatever a document makes of its reader is that document's failure, and ends no ingest.
        error = await failure_of(work())
        if isinstance(error, TimeoutError | Refused):
            return nouns.DOCUMENT_FAULT_TOO_COSTLY
        if error is not None:
            # Not what it says, which may be the document's own words.
            kind = type(error).__name__
            log.event(_LOGGER, logging.WARNING, "ingest.reader_failed", kind=kind)
            return nouns.DOCUMENT_FAULT_UNREADABLE
        return _FAULTS[found[0]] if isinstance(found[0], Cause) else found[0]


def document_id(kind: str, told: bytes) -> str:
    """For a document that nobody named: the same for what is the same."""
    return f"{kind}{hashlib.sha256(told).hexdigest()[:24]}"
