"""Who serves what, who leads, and versioned values, in front of one backend. Contract:
tandem.control.v1.RegistryService.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.control.registry.admission import Admission
from services.control.registry.holds import Holds
from services.control.registry.servicer import Front
from services.control.registry.watched_values import WatchedValues
from tandem.control.config.v1 import registry_pb2 as cfg
from tandem.control.v1 import registry_service_pb2 as pb
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.hosting.vouching import key_beside
from tandemkit.registry.chosen import opened

# Any name that the registry takes will do: to be told that nothing is there is an answer too.
_PROBE_KEY = "probe"


@asynccontextmanager
async def build(scope: Scope, settings: cfg.RegistrySettings) -> AsyncIterator[Front]:
    async with opened(settings, scope.state_dir, scope.clock) as backend:
        registry = backend.registry
        scope.ready_when(lambda: registry.get(_PROBE_KEY))
        watched = WatchedValues(registry.get, scope.clock, backend.mark)
        scope.spawn("watched-values", watched.run())
        holds = Holds(registry)
        if backend.services is not None:
            # With it comes the client of that server.
            from services.control.registry.showing import Showing

            showing = Showing(registry, backend.services, holds.owners, scope.clock)
            for name, work in showing.chores():
                scope.spawn(f"showing-{name}", work)
        key = key_beside(scope.token) if scope.token else None
        yield Front(registry, holds, watched, Admission(key, scope.clock))


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.RegistrySettings, build=build)
main = AGENT.main
