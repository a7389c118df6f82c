"""How each agent of a host stands, for those who ask the host."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from tandemkit.core.redaction import redacted
from tandemkit.rpc.health import Health
from tandemkit.supervise.reports import Asked
from tandemkit.supervise.workers import Account
from tandemkit.telemetry.exposition import Measure

_FAILURE_CHARS_MAX = 300


class Condition(enum.StrEnum):
    """How an agent is, in the words of `/health` and of `tandem.control.v1.AgentState`."""

    SERVING = "SERVING"
    NOT_SERVING = "NOT_SERVING"
    DRAINING = "DRAINING"
    SUSPENDED = "SUSPENDED"
    STOPPED = "STOPPED"


_DOWN = frozenset({Condition.SUSPENDED, Condition.STOPPED})


@dataclass(slots=True)
class Standing:
    """One agent: why it does not serve, if it does not, and how often it was built. Not its health,
    which the server says and which stays as it is once the server drains.

    `wanted` is what somebody asked of it last; by itself an agent is to serve.
    """

    name: str
    service: str
    cause: str | None = "it is being built"
    lives: int = 0
    wanted: Condition = Condition.SERVING
    asked: Asked | None = None
    # What its own processes did, over all of its lives.
    accounts: list[Account] = field(default_factory=list)
    # What its present life measures.
    measures: list[Measure] = field(default_factory=list)
    # Whether somebody added it to its running host.
    added: bool = False
    # Secrets for which it waits, before it is built.
    missing_secrets: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """By which the server tells its health: of a contract only one instance is planned."""
        return self.name if self.added else self.service

    @property
    def restarts(self) -> int:
        return max(self.lives - 1, 0)

    @property
    def is_down(self) -> bool:
        """Whether it was stopped or suspended on purpose, or is about to be."""
        return self.wanted in _DOWN

    @property
    def may_serve(self) -> bool:
        return self.cause is None and self.wanted is Condition.SERVING

    def want(self, wanted: Condition, asked: Asked) -> None:
        self.wanted, self.asked = wanted, asked

    def failed(self, error: BaseException) -> None:
        """It is built again, unless that does not help and its host ends."""
        # A group says only how many it has.
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        said = redacted(f"{type(error).__name__}: {error}")[:_FAILURE_CHARS_MAX]
        self.cause = f"it failed and is built again: {said}"

    def condition(self, health: Health) -> tuple[Condition, str | None]:
        """How it is for its callers, and why where it does not serve."""
        if health.draining:
            return Condition.DRAINING, self.cause or "its host drains"
        if self.wanted is not Condition.SERVING:
            return self.wanted, f"{self.wanted.lower()} by {worded(self.asked)}"
        if health.serving(self.key):
            return Condition.SERVING, None
        return Condition.NOT_SERVING, self.cause


def worded(asked: Asked | None) -> str:
    """Who wanted something and why, in a sentence."""
    if asked is None:
        return "nobody"
    return f"{asked.by}: {asked.why}" if asked.why else asked.by
