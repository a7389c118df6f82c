"""What the kernel says of the machine and of the hosts on it, as a judgement."""

from __future__ import annotations

import asyncio

from services.platform.resource.scene import Scene
from services.platform.resource.strain import Limits, Reading, Strain, strain
from tandemkit.telemetry import machine


class Measured:
    """Judges by the kernel's accounts."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def strain(self, scene: Scene) -> Strain:
        return await asyncio.to_thread(self._read, scene)

    def _read(self, scene: Scene) -> Strain:
        try:
            memory = machine.memory()
        except machine.NoAccounts:
            memory = None
        return strain(Reading(memory, scene.used_mib(), scene.budget_mib()), self._limits)
