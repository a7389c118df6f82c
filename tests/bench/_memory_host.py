"""A host of the agents of memories and of embeddings, as a laptop has them in one process."""

from __future__ import annotations

import sys

from services.memory.embedding.agent import AGENT as EMBEDDING
from services.memory.memory_orchestrator.agent import AGENT as MEMORY
from tandemkit.hosting.main import serve_agents

WORDS_ALONE = "--words-alone"

if __name__ == "__main__":
    if WORDS_ALONE in sys.argv:
        sys.argv.remove(WORDS_ALONE)
        serve_agents((MEMORY,))
    else:
        serve_agents((MEMORY, EMBEDDING))
