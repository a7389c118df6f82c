"""A host of the scheduler alone, as a process: to be killed."""

from __future__ import annotations

from services.tasks.scheduler.agent import AGENT
from tandemkit.hosting.main import serve_agents

if __name__ == "__main__":
    serve_agents((AGENT,))
