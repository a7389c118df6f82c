"""A host of the orchestrator alone, as a process: to be killed."""

from __future__ import annotations

from services.tasks.workflow.agent import AGENT
from tandemkit.hosting.main import serve_agents

if __name__ == "__main__":
    serve_agents((AGENT,))
