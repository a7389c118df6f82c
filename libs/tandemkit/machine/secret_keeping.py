"""What the supervisor of a machine does about secrets: it asks their providers, and lays what each
host needs where that host reads it. A host that is started again finds it there, whoever starts it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

from tandem.control.v1 import machine_pb2 as pb
from tandem.fleet.v1.secret_pb2 import SecretSources
from tandemkit.core import dumps, log
from tandemkit.core.clock import Clock, until_next_s
from tandemkit.machine.orders import planned_machine
from tandemkit.secrecy import sources
from tandemkit.secrecy.chain import Chain, Found, Launched, Search
from tandemkit.secrecy.place import Place

LOOK_S = 1.0
_BEGIN_S = 2.0
Wanted = Callable[[], pb.WantedMachine]
_LOGGER = logging.getLogger("tandemkit.machine")


class SecretKeeping:
    """Belongs to one supervisor. `close` it at its end: what was laid stays, unless the fleet
    `is_over`, whose place was forgotten and is not to be made again. `guard` is called before the
    process knows its first secret.
    """

    def __init__(
        self,
        place: Place,
        clock: Clock,
        is_over: Callable[[], bool],
        guard: Callable[[], None] = dumps.forbid_looking,
    ) -> None:
        self._place, self._clock = place, clock
        self._is_over, self._guard = is_over, guard
        self._held: dict[str, Found] = {}
        self._stack = AsyncExitStack()
        self._chain: Chain | None = None
        self._asked: SecretSources | None = None
        self._hurried = place.hurried
        self._account = place.account
        self._troubles: tuple[str, ...] = ()

    async def run(self, wanted: Wanted) -> None:
        """Until cancelled."""
        while True:
            await self.look(wanted())
            await self._clock.sleep(until_next_s(self._clock, LOOK_S))

    async def begin(self, wanted: pb.WantedMachine) -> None:
        """The first look, which hosts that are about to start find done: not for long, for they
        wait for what they need themselves.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_BEGIN_S):
                await self.look(wanted)

    async def look(self, wanted: pb.WantedMachine) -> None:
        """Makes what hosts have what the providers say now. A value that no provider has any more,
        or of which nobody can say, stays.
        """
        machine = planned_machine(wanted)
        names = sources.declared_on(machine)
        if not names or self._is_over():
            return
        chain = await self._asking(wanted.plan.secret_sources)
        if self._hurried != (hurried := self._place.hurried):
            self._hurried = hurried
            chain.hurry()
        search = await chain.find(sorted(names))
        if self._is_over():
            return
        self._take(search)
        values = {name: one.secret.reveal() for name, one in self._held.items()}
        try:
            for host in machine.hosts:
                if own := sources.declared(host):
                    given = {name: values[name] for name in own if name in values}
                    self._place.lay(host.name, given, own)
            self._tell(names)
        except OSError as error:
            cause = error.strerror
            log.event(_LOGGER, logging.ERROR, "secret.not_laid", cause=cause)

    async def close(self) -> None:
        await self._stack.aclose()

    async def _asking(self, wanted: SecretSources) -> Chain:
        """The providers of this plan; those of the one before are let go of."""
        if self._chain is None or wanted != self._asked:
            await self._stack.aclose()
            self._guard()
            opening = sources.opened(wanted, Launched(self._place), self._clock)
            self._chain = await self._stack.enter_async_context(opening)
            self._asked = SecretSources()
            self._asked.CopyFrom(wanted)
        return self._chain

    def _take(self, search: Search) -> None:
        for name, found in search.found.items():
            last = self._provider_of(name)
            if last not in {"", found.provider} and search.doubts(last):
                # What others have may be of long before.
                continue
            before = self._held.get(name)
            if before is None or before.secret != found.secret:
                said = {"secret": name, "provider": found.provider, "version": found.version}
                event = "secret.found" if before is None else "secret.changed"
                log.event(_LOGGER, logging.INFO, event, **said)
            self._held[name] = found
        troubles = tuple(map(str, search.troubles))
        if troubles != self._troubles:
            self._troubles = troubles
            for one in troubles:
                log.event(_LOGGER, logging.WARNING, "secret.trouble", cause=one)

    def _provider_of(self, name: str) -> str:
        """Who had it last, also for the supervisor before this one; empty for nobody."""
        known = self._account.get("secrets", {}).get(name, {})
        return str(known.get("provider", ""))

    def _tell(self, names: frozenset[str]) -> None:
        """For `./tandem secret list`."""
        known = dict(self._account.get("secrets", {}))
        known |= {
            name: {
                "provider": one.provider,
                "version": one.version,
                "since": one.since.isoformat(timespec="seconds"),
            }
            for name, one in self._held.items()
        }
        known = {name: one for name, one in sorted(known.items()) if name in names}
        account: dict[str, Any] = {"secrets": known, "missing": sorted(names - known.keys())}
        account["troubles"] = list(self._troubles)
        if account != self._account or not self._place.account:
            self._account = account
            self._place.tell(account)
