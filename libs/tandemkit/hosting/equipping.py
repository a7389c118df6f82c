"""An agent whose required secrets are not there is not built: it would only fail, and take the host
with it. It waits for them, and everybody hears what for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from tandem.type.v1 import platform_error_pb2 as platform
from tandemkit.core import log
from tandemkit.core.clock import Clock
from tandemkit.hosting.entrusted import LOOK_S, Entrusted
from tandemkit.rpc import failure
from tandemkit.rpc.failure import Refusal
from tandemkit.supervise.tasks import failure_of

_LOGGER = logging.getLogger("tandemkit.hosting")


@dataclass(frozen=True, slots=True)
class Lacking:
    """What keeps it from being built, in words, and what its callers hear."""

    missing: tuple[str, ...]
    cause: str
    refusal: Refusal


async def equipped(entrusted: Entrusted, clock: Clock, tell: Callable[[Lacking], None]) -> None:
    """Returns when nothing is missing. Tells what is, and again where that has changed."""
    told = ""
    while (error := await failure_of(entrusted.check())) is not None:
        if told != (cause := str(error)):
            told, missing = cause, entrusted.missing()
            said = {"agent": entrusted.owner, "secrets": missing, "cause": cause}
            log.event(_LOGGER, logging.WARNING, "agent.unequipped", **said)
            tell(Lacking(missing, cause, _refusal(", ".join(missing))))
        await clock.sleep(LOOK_S)


def _refusal(missing: str) -> Refusal:
    return failure.of_platform(
        platform.PLATFORM_ERROR_REASON_SECRET_MISSING,
        "the agent lacks a secret that it cannot serve without",
        retry_after_s=LOOK_S,
        secrets=missing,
    )
