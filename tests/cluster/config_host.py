"""A config server with its registry, as a process that a test may freeze and kill."""

from __future__ import annotations

from services.control.registry.agent import AGENT as REGISTRY
from services.platform.config_server.agent import AGENT as CONFIG_SERVER
from tandemkit.hosting.main import serve_agents

if __name__ == "__main__":
    serve_agents((REGISTRY, CONFIG_SERVER))
