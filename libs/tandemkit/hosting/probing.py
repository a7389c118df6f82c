"""How an agent is, as it says of itself: asked again and again, and told where it changes."""

from __future__ import annotations

import logging

from tandemkit.core import log
from tandemkit.core.clock import until_next_s
from tandemkit.core.errors import Failure
from tandemkit.core.redaction import redacted
from tandemkit.hosting.news import News
from tandemkit.hosting.scope import Scope, Unanswered
from tandemkit.hosting.standing import Standing
from tandemkit.rpc.health import Health

PROBE_INTERVAL_S = 2.0
# An agent that starts is asked more often, for others may be waiting for it.
_FIRST_INTERVAL_S = 0.1
# A check that does not return at all is asked once more, as the loop itself may have been held.
_UNANSWERED_MAX = 2
_LOGGER = logging.getLogger("tandemkit.hosting")


class Hung(Failure):
    """An agent does not say how it is any more, though its host's loop goes on."""


class Probe:
    """Turns what one agent says of itself into its health. Sets `news` with each change."""

    def __init__(self, standing: Standing, scope: Scope, health: Health, news: News) -> None:
        self._standing, self._scope, self._health, self._news = standing, scope, health, news
        self._interval_s = _FIRST_INTERVAL_S
        self._unanswered, self._has_served = 0, False

    async def run(self) -> None:
        """Raises Hung for an agent that only another life can help."""
        while self._unanswered < _UNANSWERED_MAX:
            await self._scope.questioned()
            await self._scope.clock.sleep(self._pause_s())
            await self.look()
            has_started = self._standing.cause is None
            self._interval_s = (
                PROBE_INTERVAL_S if has_started else min(PROBE_INTERVAL_S, 2 * self._interval_s)
            )

        raise Hung("it hangs", checks_unanswered=self._unanswered)

    def _pause_s(self) -> float:
        """All agents of the host that have started are asked at the same moments."""
        if self._interval_s < PROBE_INTERVAL_S:
            return self._interval_s
        return until_next_s(self._scope.clock, PROBE_INTERVAL_S)

    async def look(self) -> None:
        """Asks once. The log has each change, and each other reason for not serving."""
        error = await self._scope.unwell()
        # One that never served waits for something; another life would wait for it too.
        self._has_served = self._has_served or error is None
        hangs = self._has_served and isinstance(error, Unanswered)
        self._unanswered = self._unanswered + 1 if hangs else 0
        cause = None if error is None else redacted(str(error))
        was, self._standing.cause = self._standing.cause, cause
        self._health.put(self._standing.key, serving=self._standing.may_serve)
        if cause == was:
            return
        if cause is None:
            log.event(_LOGGER, logging.INFO, "agent.serving", agent=self._scope.name)
        else:
            level = logging.WARNING if was is None else logging.INFO
            log.event(_LOGGER, level, "agent.unwell", agent=self._scope.name, cause=cause)
        self._news.set()
