"""Vectors out of messages. Whoever imports this has numpy in memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tandem.memory.v1 import embedding_pb2 as nouns
from tandemkit.storage.vectors.protocol import Values


def arrays(embeddings: Iterable[nouns.Embedding]) -> tuple[Values, ...]:
    return tuple(np.asarray(one.values, np.float32) for one in embeddings)
