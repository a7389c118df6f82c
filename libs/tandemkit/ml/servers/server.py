"""A server that has models, and the ways in which it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tandemkit.reach.failure import Refused, Unreachable

CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is, and the key that is shown: asked for at each request. A request with all its
    attempts takes `within_s` at most; between two parts of an answer, and before the first, are no
    more than `silence_s`. None sets no bound.
    """

    base_url: str
    within_s: float | None
    key: Callable[[], str] | None = None
    silence_s: float | None = None
    connect_s: float = CONNECT_S


class Passing(Unreachable):
    """Worth another attempt, after `retry_after_s` or a moment."""

    def __init__(
        self, message: str, retry_after_s: float | None = None, **metadata: object
    ) -> None:
        super().__init__(message, **metadata)
        self.retry_after_s = retry_after_s


class Crowded(Passing):
    """The server has too much to do, and is well otherwise."""


class KeyDenied(Refused):
    """The server does not take the key, or wants one."""


class NotThere(Refused):
    """The server knows no such model, or no such path."""


class RequestRefused(Refused):
    """The server does not take this request; another it may."""
