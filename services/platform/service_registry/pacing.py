"""How often services are asked, as the fleet is configured at the moment."""

from __future__ import annotations

import logging
from dataclasses import replace

from services.platform.service_registry.checking import Checker, Pace
from tandemkit.core import log
from tandemkit.hosting.configuration import Configuration, Unconfigured

PREFIX = "services."
_INTERVAL = f"{PREFIX}check_interval"
_INTERVAL_S_MIN = 0.1
_LOGGER = logging.getLogger("services.platform.service_registry")


class Pacing:
    """`standard` is what the settings say, which holds where nothing is configured."""

    def __init__(self, checker: Checker, configuration: Configuration, standard: Pace) -> None:
        self._checker, self._configuration = checker, configuration
        self._standard = self._pace = standard

    async def run(self) -> None:
        """Takes each change, until cancelled."""
        while True:
            pace = self._configured()
            if pace != self._pace:
                self._pace = pace
                self._checker.use(pace)
                log.event(_LOGGER, logging.INFO, "services.paced", interval_s=pace.interval_s)
            await self._configuration.changed()

    def _configured(self) -> Pace:
        try:
            value = self._configuration.reading(_INTERVAL).value
        except Unconfigured:
            return self._standard
        interval_s = value.duration.ToTimedelta().total_seconds()
        return replace(self._standard, interval_s=max(_INTERVAL_S_MIN, interval_s))
