"""A host of the toolbox, as a process: the agent as it is."""

from __future__ import annotations

from services.utility.toolbox.agent import AGENT
from tandemkit.hosting.main import serve_agents

if __name__ == "__main__":
    serve_agents((AGENT,))
