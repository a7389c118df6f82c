"""How each agent of a host stands, for those who ask the host."""

from __future__ import annotations

from dataclasses import dataclass

_FAILURE_CHARS_MAX = 300


@dataclass(slots=True)
class Standing:
    """One agent: why it does not serve, if it does not, and how often it was built. Not its health,
    which the server says and which stays as it is once the server drains.
    """

    name: str
    service: str
    cause: str | None = "it is being built"
    lives: int = 0

    @property
    def restarts(self) -> int:
        return max(self.lives - 1, 0)

    def failed(self, error: BaseException) -> None:
        """It is built again, unless that does not help and its host ends."""
        said = f"{type(error).__name__}: {error}"[:_FAILURE_CHARS_MAX]
        self.cause = f"it failed and is built again: {said}"
