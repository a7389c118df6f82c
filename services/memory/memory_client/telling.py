"""How the journal is, and what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from services.memory.memory_client import refusal
from services.memory.memory_client.draining import Draining
from services.memory.memory_client.journal import is_refused
from services.memory.memory_client.means import Means
from services.memory.memory_client.writing import Writing
from tandem.memory.v1 import memory_client_service_pb2 as pb
from tandem.memory.v1.journal_pb2 import JournalStanding
from tandemkit.core.errors import CallerError
from tandemkit.hosting import access
from tandemkit.hosting.access import Right
from tandemkit.rpc.paging import fitting_page
from tandemkit.telemetry.exposition import COUNTER, GAUGE, Family, Sample

_PAGE, _PAGE_MAX = 20, 100
_SCOPE: Final = "journal"


class Telling:
    def __init__(self, means: Means, writing: Writing, draining: Draining) -> None:
        self._journal, self._line, self._clock = means.journal, means.line, means.clock
        self._writing, self._draining = writing, draining

    def standing(self) -> JournalStanding:
        entries = self._journal.entries()
        return JournalStanding(
            depth=len(entries),
            refused=sum(map(is_refused, entries)),
            bytes=self._journal.size_bytes,
            oldest_time=entries[0].time if entries else None,
            is_reachable=self._line.is_up,
            cause=self._line.cause,
            drained=self._draining.drained,
            stored=self._writing.stored,
        )

    def families(self) -> Iterator[Family]:
        """For Prometheus."""
        told, now = self.standing(), self._clock.now()
        waits_s = 0.0
        if told.HasField("oldest_time"):
            waits_s = max(0.0, (now - told.oldest_time.ToDatetime(now.tzinfo)).total_seconds())
        for name, kind, meaning, value in (
            ("journal_depth", GAUGE, "Writes that the orchestrator does not have.", told.depth),
            ("journal_refused", GAUGE, "Of them, those that it refused.", told.refused),
            ("journal_bytes", GAUGE, "Bytes of them.", told.bytes),
            (
                "journal_unreadable",
                GAUGE,
                "Writes in its file that cannot be read.",
                self._journal.unreadable,
            ),
            ("journal_oldest_seconds", GAUGE, "For how long the oldest waits.", waits_s),
            ("orchestrator_up", GAUGE, "Whether it answered last.", told.is_reachable),
            ("drained", COUNTER, "Writes that left the journal for it.", told.drained),
            ("stored", COUNTER, "Writes that went straight to it.", told.stored),
        ):
            yield Family(f"tandem_memory_client_{name}", kind, meaning, [Sample(value, {})])

    def page(self, request: pb.GetJournalRequest) -> pb.GetJournalResponse:
        """Of what the caller may read. Raises CallerError."""
        size = min(request.page_size or _PAGE, _PAGE_MAX)
        after = int(refusal.page_start(request.page_token, _SCOPE) or 0)
        wanted = (
            (str(one.number), one)
            for one in self._journal.entries()
            if one.number > after
            and (is_refused(one) or not request.refused_only)
            and _may_read(one.name)
        )
        found = list(islice(wanted, size + 1))
        last = found[size - 1][0] if len(found) > size else ""
        told, token = fitting_page(found[:size], last, _SCOPE)
        return pb.GetJournalResponse(entries=told, standing=self.standing(), next_page_token=token)


def _may_read(name: str) -> bool:
    try:
        access.check_named(name, Right.READ)
    except CallerError:
        return False
    return True
