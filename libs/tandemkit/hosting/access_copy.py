"""The host's copy of the rules of namespaces: what control told last, also in an earlier life."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from google.protobuf.message import DecodeError

from tandem.control.v1 import registry_service_pb2 as registry
from tandem.memory.v1 import namespace_pb2 as nouns
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.hosting.access import Rules
from tandemkit.hosting.control_value import ControlValue, Followed
from tandemkit.hosting.membership import Membership
from tandemkit.hosting.told import Copy
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.supervise.tasks import Tasks

# The name under which the registry has the changes, and with what behind it the record in force.
STREAM = "access"
KEY = f"{STREAM}/current"
_LOGGER = logging.getLogger("tandemkit.hosting")


class AccessCopy:
    """Gives the server each record that it is told, and keeps it for the next life."""

    def __init__(self, server: Server, file: Path) -> None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._server, self._copy = server, Copy(file, nouns.AccessRecord)
        self._record: nouns.AccessRecord | None = None
        self._news = asyncio.Event()

    async def load(self) -> None:
        """Before the first call is served: without a copy nobody has a right until control tells
        who has, but the operator and the family's own agents.
        """
        self._use(await self._copy.load())

    def take(self, told: registry.WatchValueResponse) -> None:
        try:
            record = nouns.AccessRecord.FromString(told.value.content)
        except DecodeError as error:
            log.event(_LOGGER, logging.ERROR, "host.access_unreadable", cause=str(error))
            return
        if record != self._record:
            self._use(record)
            self._news.set()
            said = {"version": record.change.version}
            log.event(_LOGGER, logging.INFO, "host.access_followed", **said)

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._record is not None:
                await self._copy.keep(self._record)

    def _use(self, record: nouns.AccessRecord | None) -> None:
        self._record = record
        self._server.callers.rules = Rules(record)


@asynccontextmanager
async def access_followed(
    server: Server, contracts: Iterable[Contract], membership: Membership, place: tuple[Path, Clock]
) -> AsyncIterator[None]:
    """For a host of a fleet, if one of its agents asks who calls; others that do, and are added
    later, hear of no rules. `place` is where all hosts of the machine keep their files, and whose
    time it goes by.
    """
    server.callers.rules = Rules(None)
    if not any(method.asks_caller for one in contracts for method in one.methods):
        yield
        return
    state, clock = place
    copy = AccessCopy(server, state / STREAM / f"{membership.host.name.rpartition('/')[2]}.copy")
    await copy.load()
    followed = Followed(KEY, membership.controls, server.token, "host.access_stale")
    async with Tasks() as tasks:
        tasks.spawn("access", ControlValue(followed, copy.take, clock).run())
        tasks.spawn("access:copy", copy.keep())
        yield
