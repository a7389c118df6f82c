"""A host of the agent that says who does what, as a process."""

from __future__ import annotations

from services.tasks.assignment.agent import AGENT
from tandemkit.hosting.main import serve_agents

if __name__ == "__main__":
    serve_agents((AGENT,))
