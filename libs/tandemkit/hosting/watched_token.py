"""A host goes by the token that its file holds now."""

from __future__ import annotations

import logging

from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.core.token import LOOK_S, Token, TokenRefused

_LOGGER = logging.getLogger("tandemkit.hosting")


async def looking(token: Token, clock: Clock) -> None:
    """Until cancelled. A file that is lost or spoiled changes nothing, and is complained of
    once.
    """
    complained = ""
    while True:
        await clock.sleep(LOOK_S)
        before = token.bearer
        try:
            token.look()
        except TokenRefused as error:
            if str(error) != complained:
                complained = str(error)
                log.event(_LOGGER, logging.WARNING, "host.token_unreadable", cause=complained)
            continue
        complained = ""
        if token.bearer != before:
            log.event(_LOGGER, logging.INFO, "host.token_changed", file=str(token.path))
