"""A control as a process: the registry and what tells clients, as the packaged one has them."""

from __future__ import annotations

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.registry.agent import AGENT as REGISTRY
from services.control.traffic_policy.agent import AGENT as TRAFFIC_POLICY
from tandemkit.hosting.main import serve_agents

AGENTS = (REGISTRY, FLEET_STATUS, TRAFFIC_POLICY)

if __name__ == "__main__":
    serve_agents(AGENTS)
