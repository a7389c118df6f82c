"""Following a prefix: one blocking query after another, for as long as the registry is open."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.registry.consul_http import ConsulSettings
from tandemkit.registry.consul_kv import ConsulKv, Row

_LOGGER = logging.getLogger("tandemkit.registry.consul")
# A tenth up or down, so that controls started together do not ask together forever.
_JITTER = random.SystemRandom()
_WAIT_S = 0.05
_WAIT_S_MAX = 0.5
# About twice what an answer costs us.
_PAUSE_S_PER_ROW, _PAUSE_S_MAX = 10e-6, 0.1


@dataclass(frozen=True, slots=True)
class Listener:
    """What a follower tells. `known` is the latest index that the listener has; `anew` hands over a
    state that is older than that and yet true, as after a restored backup.
    """

    known: Callable[[], int]
    take: Callable[[int, list[Row]], None]
    anew: Callable[[int, list[Row]], None]
    # Every failed try, with how long nothing was heard.
    lost: Callable[[Exception, float], None]


class Follower:
    """Never ends by itself: what fails is asked again, from index 0."""

    def __init__(self, kv: ConsulKv, settings: ConsulSettings, clock: Clock) -> None:
        self._kv = kv
        self._settings = settings
        self._clock = clock

    async def follow(self, prefix: str, listener: Listener) -> None:
        index, doubtful, failures = 0, False, 0
        heard_s = self._clock.monotonic_s()
        while True:
            wait_s = self._settings.poll_s * _JITTER.uniform(0.9, 1.0)
            try:
                found, rows = await self._kv.next_under(prefix, index, wait_s)
            except (Unreachable, Refused) as error:
                if failures == 0:
                    log.event(_LOGGER, logging.WARNING, "consul.away", cause=str(error))
                failures, index = failures + 1, 0
                listener.lost(error, self._clock.monotonic_s() - heard_s)
                await self._clock.sleep(_pause_s(failures))
                continue
            failures, heard_s = 0, self._clock.monotonic_s()
            # A lower index is a restored or emptied Consul, old deletions that it forgot, or an
            # answer that somebody else's read overtook. A second answer, from 0, tells.
            lower = found < max(index, listener.known())
            index = 0 if lower and not doubtful else max(found, 1)
            if lower and doubtful:
                listener.anew(found, rows)
            elif not lower:
                listener.take(found, rows)
            doubtful = lower and not doubtful
            # Each change is answered with all rows: in a burst, many changes with one answer.
            await self._clock.sleep(min(_PAUSE_S_MAX, len(rows) * _PAUSE_S_PER_ROW))


def _pause_s(failures: int) -> float:
    longest_s = min(_WAIT_S_MAX, _WAIT_S * 2.0 ** min(failures, 10))
    return longest_s * _JITTER.uniform(0.5, 1.0)
