"""A control without a registry of its own, as a process: it follows another one's."""

from __future__ import annotations

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.traffic_policy.agent import AGENT as TRAFFIC_POLICY
from tandemkit.hosting.main import serve_agents

if __name__ == "__main__":
    serve_agents((FLEET_STATUS, TRAFFIC_POLICY))
