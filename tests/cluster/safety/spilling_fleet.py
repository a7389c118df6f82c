"""A fleet of a checkout whose one agent has secrets and spills them."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from services.platform.event_store import AGENT as EVENT_STORE
from tandemkit.testing.checkouts import write_checkout
from tandemkit.testing.parts import short_folder
from tests.cluster.fleets import Checkout
from tests.cluster.safety import spilling
from tests.cluster.safety.spilling import AGENT, KEY, SPARE

NAME = AGENT.name
SERVICE = AGENT.promise.service.full_name
METHOD = "utility-toolbox/SlugifyText"
SERVED = (REGISTRY, FLEET_STATUS, MACHINE, EVENT_STORE, AGENT)


class Spilled(Checkout):
    """Its home, and what was planted."""

    async def does(self, deed: str) -> str:
        """Has the agent do it; returns the fingerprint of the value that it has."""
        told = await self.told("call", METHOD, json.dumps({"text": deed}))
        return str(told["slug"])

    def write_deploy(self, path: str, change: Mapping[str, Any]) -> None:
        """Other fields of a file below deploy/fleet."""
        file = self.folder / "deploy" / "fleet" / path
        file.write_text(json.dumps(json.loads(file.read_text()) | dict(change)))


def furnished(folder: Path, profile: Mapping[str, Any]) -> Spilled:
    """A checkout with the agent in place of the real toolbox."""
    write_checkout(folder, SERVED)
    stanza = {"name": NAME, "service": SERVICE}
    declared = {"secrets": [KEY], "optional_secrets": [SPARE]}
    checkout = Spilled(folder)
    checkout.write_deploy("utility.yaml", {"agents": [stanza | declared]})
    checkout.write_deploy("profiles/laptop.yaml", profile)
    module = folder / "stand_in" / "services" / "utility" / "toolbox.py"
    module.parent.mkdir(parents=True)
    module.write_text(f"from {spilling.__name__} import AGENT\n\n__all__ = ['AGENT']\n")
    path = os.pathsep.join((str(folder / "stand_in"), checkout.variables["PYTHONPATH"]))
    checkout.variables["PYTHONPATH"] = path
    return checkout


@asynccontextmanager
async def spilling_fleet(
    variables: Mapping[str, str], profile: Mapping[str, Any] | None = None, *options: str
) -> AsyncIterator[Spilled]:
    """One that serves, started by somebody whose environment holds `variables`."""
    with short_folder() as folder:
        checkout = furnished(folder, profile or {})
        checkout.variables |= variables
        try:
            assert (await checkout.told("up", "-d", *options))["serving"]
            yield checkout
        finally:
            await checkout.tandem("down")
        assert checkout.pids() == {}
        assert not checkout.home.secrets.folder.exists()
