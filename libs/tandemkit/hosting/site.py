"""What all agents of a host share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tandem.fleet.v1.state_pb2 import StateStore
from tandemkit.core.clock import Clock
from tandemkit.hosting.callees import Callees
from tandemkit.hosting.fleet_methods import FleetMethods
from tandemkit.hosting.http_port import Paths
from tandemkit.hosting.news import News
from tandemkit.hosting.scope import Where
from tandemkit.hosting.standing import Standing
from tandemkit.rpc.client import Mesh
from tandemkit.rpc.server import Server
from tandemkit.supervise.reports import Sink
from tandemkit.supervise.roll.protocol import Key
from tandemkit.supervise.roll.registry import ProcessRegistry

if TYPE_CHECKING:
    from tandemkit.hosting.agent import Agent

# The namespace of the process registry in which agents stand.
AGENTS = "agents"


@dataclass(frozen=True, slots=True)
class Site:
    """`news` is set whenever one of them serves, or does not any
    more; `sink` takes what becomes of them; `paths` are what the host says over HTTP besides its
    own, by the path that they begin with. `secrets` is the folder of those that the host was given.
    """

    server: Server
    mesh: Mesh
    clock: Clock
    state_dir: Path
    controls: tuple[str, ...]
    news: News
    standings: dict[str, Standing]
    store: StateStore
    sink: Sink
    processes: ProcessRegistry
    paths: Paths
    where: Where
    secrets: Path | None = None

    def callees(self, agent: Agent) -> Callees:
        """Whom the agent may call: its own contract too, for there may be another instance."""
        declared = (agent.contract, *agent.calls, *agent.soft_calls)
        anybody = None
        if agent.calls_any:
            anybody = FleetMethods(
                self.mesh,
                self.clock,
                has_fleet=bool(self.controls),
                here=lambda: {one.service for one in self.standings.values()},
            )
        return Callees(agent.name, declared, self.mesh, anybody)

    def enroll(self, name: str) -> None:
        """Whoever looks for the agent by name finds this life of it, until that is over."""
        life = asyncio.current_task()
        if life is not None:
            self.processes.register_task(Key(AGENTS, name), life)

    def folder(self, name: str) -> Path:
        """In which the agent keeps its state."""
        folder = self.state_dir / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
