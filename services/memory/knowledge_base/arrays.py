"""Vectors as stores take them. Whoever imports this has numpy in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tandemkit.storage.vectors.protocol import Values


def arrays(vectors: Iterable[Sequence[float]]) -> tuple[Values, ...]:
    return tuple(np.asarray(one, np.float32) for one in vectors)
