"""How an agent is, as it says of itself: asked again and again, and told where it changes."""

from __future__ import annotations

import asyncio
import logging

from tandemkit.core import log
from tandemkit.hosting.scope import Scope
from tandemkit.rpc.health import Health

PROBE_INTERVAL_S = 2.0
# An agent that starts is asked more often, for others may be waiting for it.
_FIRST_INTERVAL_S = 0.1
_LOGGER = logging.getLogger("tandemkit.hosting")


class Probe:
    """Turns what one agent says of itself into its health. Sets `news` with each change."""

    def __init__(self, service: str, scope: Scope, health: Health, news: asyncio.Event) -> None:
        self._service, self._scope, self._health, self._news = service, scope, health, news
        self._interval_s = _FIRST_INTERVAL_S
        self._cause = ""

    async def run(self) -> None:
        while True:
            await self._scope.clock.sleep(self._interval_s)
            if self._health.serving(self._service):
                self._interval_s = PROBE_INTERVAL_S
            await self.look()
            self._interval_s = min(PROBE_INTERVAL_S, 2 * self._interval_s)

    async def look(self) -> None:
        """Asks once. The log has each change, and each other reason for not serving."""
        was = self._health.serving(self._service)
        error = await self._scope.unwell()
        self._health.put(self._service, serving=error is None)
        cause = "" if error is None else str(error)
        if error is None and not was:
            log.event(_LOGGER, logging.INFO, "agent.serving", agent=self._scope.name)
        elif error is not None and (was or cause != self._cause):
            level = logging.WARNING if was else logging.INFO
            log.event(_LOGGER, level, "agent.unwell", agent=self._scope.name, cause=cause)
        self._cause = cause
        if was != (error is None):
            self._news.set()
