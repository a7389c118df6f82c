"""Where the documents of an ingest come from: the call that asked for it, or a folder."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, replace

from services.memory.knowledge_base.folders import FileTooLarge, Jail
from services.memory.knowledge_base.ledger import Entry, Item


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document, and one ingest, may cost."""

    bytes_max: int
    documents_max: int
    parse_s_max: float


@dataclass(frozen=True, slots=True)
class Sources:
    """Reads in threads."""

    jail: Jail
    limits: Limits

    async def listed(self, one: Entry) -> list[Item]:
        """What its folder has. Raises FolderRefused, FolderMissing, TooMany."""
        files = await asyncio.to_thread(
            self.jail.files, one.folder, one.patterns, self.limits.documents_max
        )
        return [
            Item(
                document_id("f", f"{one.folder}\0{path}".encode()),
                f"file://{one.folder.rstrip('/')}/{path}",
                path,
                "",
                one.subjects,
                b"",
            )
            for path in files
        ]

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


def document_id(kind: str, told: bytes) -> str:
    """For a document that nobody named: the same for what is the same."""
    return f"{kind}{hashlib.sha256(told).hexdigest()[:24]}"
