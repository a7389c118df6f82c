"""The root with all that works on it, opened together and closed together."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from services.utility.files.changes import Changes
from services.utility.files.history import History
from services.utility.files.jail import Jail
from services.utility.files.journal import Journal
from services.utility.files.limits import Limits
from services.utility.files.listing import Walk, walk_of
from services.utility.files.reading import Span, read
from services.utility.files.relocation import Relocation
from services.utility.files.retention import Retention
from services.utility.files.staging import Quota, counted_bytes
from services.utility.files.trash import Trash
from services.utility.files.uploads import UploadDesk
from tandem.utility.v1 import file_pb2 as pb
from tandemkit.core import log
from tandemkit.core.errors import Bug

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Store:
    limits: Limits
    jail: Jail
    history: History
    retention: Retention
    desk: UploadDesk
    changes: Changes

    def walk(self, path: str, *, recursive: bool) -> Walk:
        return walk_of(self.jail, path, recursive=recursive, entries_max=self.limits.entries_max)

    def read(self, span: Span) -> Generator[pb.File | bytes, None, None]:
        return read(self.jail, span, self.limits.file_bytes_max)

    def check(self) -> None:
        """Raises if the root is not there to serve."""
        if self.jail.stat(()).st_nlink == 0:
            raise Bug("the root was deleted")

    def recount(self) -> None:
        """Takes note of what others wrote below the root."""
        self.desk.quota.recount(counted_bytes(self.jail))

    def sweep(self, now: datetime) -> None:
        purged = self.retention.forget_before(now - self.limits.trash_retention)
        self.recount()
        if purged.entries_count:
            log.event(_LOGGER, logging.INFO, "files.swept", **asdict(purged))


@contextmanager
def opened(root: Path, journal_path: Path, limits: Limits) -> Iterator[Store]:
    """The store, recovered from whatever ended it last. Blocks."""
    quota, lock = Quota(limits.quota_bytes_max), threading.Lock()
    with (
        closing(Jail(root)) as jail,
        closing(Trash.open(root, quota)) as trash,
        closing(Journal(journal_path)) as journal,
    ):
        history = History(Relocation(jail, trash), trash, journal, lock)
        if recovered := history.recover():
            log.event(_LOGGER, logging.INFO, "files.recovered", operations=recovered)
        desk = UploadDesk(jail, trash, history, quota, limits.file_bytes_max)
        with closing(Retention(trash, journal, lock)) as retention:
            store = Store(limits, jail, history, retention, desk, Changes(jail, trash, history))
            store.recount()
            yield store
