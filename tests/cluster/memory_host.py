"""A host of the agent of memories alone, as a process: to be killed."""

from __future__ import annotations

from services.memory.memory_orchestrator.agent import AGENT
from tandemkit.hosting.main import serve_agents

if __name__ == "__main__":
    serve_agents((AGENT,))
