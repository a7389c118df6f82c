"""Who makes vectors of texts: EmbeddingService, as the core sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tandemkit.storage.vectors.protocol import Space

if TYPE_CHECKING:
    from tandemkit.storage.vectors.protocol import Values


@dataclass(frozen=True, slots=True)
class Embedded:
    """One vector for each text, and what they may be compared with."""

    space: Space
    vectors: tuple[Values, ...]


class Embedder(Protocol):
    """Both raise Unreachable where there are no vectors now, and Refused where there will be none
    until somebody acts.
    """

    async def question(self, text: str, time_s: float) -> Embedded:
        """Of what is looked for, for somebody who waits."""

    async def passages(self, texts: Sequence[str], *, is_public: bool) -> Embedded:
        """Of what is to be found, when there is time. Vectors of public texts are kept for all
        fleets of this machine, those of others nowhere.
        """
