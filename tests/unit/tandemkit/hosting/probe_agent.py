"""An agent of the probe contract, as a module of its own: tests start it as a process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.testing import probe
from tests.unit.tandemkit.rpc.probed import Probe


@asynccontextmanager
async def build(scope: Scope, settings: Any) -> AsyncIterator[Probe]:
    ailment = scope.state_dir / "ailment"

    async def well() -> None:
        if ailment.exists():
            raise OSError("unwell")

    scope.ready_when(well)
    diary = scope.state_dir / "diary"
    with diary.open("a") as lines:
        lines.write(f"built with {settings.text}\n")
        lines.flush()
        yield Probe()
        lines.write("closed\n")


AGENT = Agent(contract=probe.DESCRIPTOR, settings=probe.ProbeRequest, build=build)
main = AGENT.main

if __name__ == "__main__":
    main()
