"""A host of an agent that gets stuck as told, and of one that is always well, as a process."""

from __future__ import annotations

from tandemkit.hosting.agent import Agent
from tandemkit.hosting.main import serve_agents
from tests.cluster import stuck
from tests.cluster.mesh import trial_host
from tests.cluster.mesh.trial_contract import ALPHA_FILE, BETA_FILE, Question

AGENTS = (
    Agent(contract=ALPHA_FILE, settings=Question, build=stuck.build),
    Agent(contract=BETA_FILE, settings=Question, build=trial_host.build),
)

if __name__ == "__main__":
    serve_agents(AGENTS)
