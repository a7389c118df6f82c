"""An agent that does with its secret what no agent should, as a caller says: it tells it to every
place that has ears.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tandem.utility.v1 import errors_pb2 as errors
from tandem.utility.v1 import text_pb2 as text
from tandem.utility.v1 import toolbox_service_pb2 as pb
from tandemkit.core import log, redaction
from tandemkit.core.errors import Bug, CallerError
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.entrusted import FollowedSecret
from tandemkit.hosting.scope import Scope
from tandemkit.testing.agents import fake_agent

# The names that its stanza declares.
KEY, SPARE = "planted_key", "spare_key"
_LOGGER = logging.getLogger("tandemkit.spilling")


def fingerprint(value: str) -> str:
    """By which a test knows which value the agent has."""
    return hashlib.sha256(value.encode()).hexdigest()[:16]


class Spilling:
    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._key: FollowedSecret = scope.secret(KEY)
        self._is_ill = False

    async def SlugifyText(self, request: Any, _context: Any) -> Any:
        """The text is what to do; the answer is which value it has."""
        value = self._key.reveal()
        match request.text:
            case "log":
                log.event(_LOGGER, logging.ERROR, "spilling.told", key=value, deep=[{"key": value}])
                _LOGGER.error("spilling.raised", exc_info=ValueError(value))
                sys.stdout.write(f"printed {value}\n")
                sys.stdout.flush()
            case "refuse":
                reason = errors.ERROR_REASON_TOO_LARGE
                raise CallerError(reason, f"not {value}", field=value, key=value)
            case "break":
                raise Bug(f"no {value}", key=value)
            case "fail":
                self._scope.spawn("fail", self._fail(value))
            case "ail":
                self._is_ill = True
            case "heal":
                self._is_ill = False
            case "dump":
                os.abort()
            case "unveil":
                redaction.forget()
        return text.SlugifyTextResponse(slug=fingerprint(value))

    async def check(self) -> None:
        if self._is_ill:
            raise Bug("it is ill", key=self._key.reveal())

    async def _fail(self, value: str) -> None:
        raise RuntimeError(f"{value} failed")


@asynccontextmanager
async def build(scope: Scope, settings: Any) -> AsyncIterator[Any]:
    spilling = Spilling(scope)
    scope.ready_when(spilling.check)
    async with fake_agent(pb.DESCRIPTOR).build(scope, settings) as servicer:
        servicer.SlugifyText = spilling.SlugifyText
        yield servicer


AGENT = Agent(contract=pb.DESCRIPTOR, build=build)
