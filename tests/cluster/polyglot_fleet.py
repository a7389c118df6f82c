"""A fleet with hosts in three languages, started by `./tandem up`, and who calls it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.control.fleet_status.agent import AGENT as FLEET_STATUS
from services.control.machine.agent import AGENT as MACHINE
from services.control.registry.agent import AGENT as REGISTRY
from services.polyglot.file_digest import AGENT as FILE_DIGEST
from services.polyglot.page_text import AGENT as PAGE_TEXT
from tandemkit.core.clock import SystemClock
from tandemkit.core.environment import Environment
from tandemkit.hosting.agent import Agent
from tandemkit.testing.checkouts import write_deploy
from tandemkit.testing.parts import demand, short_folder
from tests.cluster.eventually import eventually
from tests.cluster.fleets import Checkout
from tests.cluster.load import Outcome
from tests.cluster.losing import client_of
from tests.cluster.mesh.trial_fleet import Client

ROOT = Path(__file__).resolve().parents[2]
# Two processes serve pages; the index of files has one owner.
RUNTIMES = {"pages": "RUNTIME_NODE", "digests": "RUNTIME_GO"}
GROUPS = {
    "control": ["control-*"],
    "machine": ["control-machine"],
    "pages": [PAGE_TEXT.name],
    "digests": [FILE_DIGEST.name],
}
PER_S = 40
_CLOCK = SystemClock()


@dataclass(frozen=True)
class Loss:
    """What became of calls while a process was away."""

    replaced_s: float
    back_s: float
    calls: Outcome


@dataclass
class PolyglotFleet:
    checkout: Checkout
    client: Client

    async def lose(self, host: str, path: str, request: bytes, *, waits: bool = False) -> Loss:
        """Kills it in the midst of calls, which go on until it is back."""
        made = await self.client.made()

        async def lose() -> tuple[float, float]:
            await self.client.has_made(made + PER_S)
            before = self.checkout.pids()[host]
            began_s = _CLOCK.monotonic_s()
            os.kill(before, signal.SIGKILL)
            await eventually(self._pids, lambda pids: pids.get(host, before) != before)
            replaced_s = _CLOCK.monotonic_s() - began_s
            await eventually(self.serves, within_s=60.0)
            back_s = _CLOCK.monotonic_s() - began_s
            await self.client.has_made(await self.client.made() + PER_S)
            await self.client.stop()
            return replaced_s, back_s

        asked: dict[str, Any] = {"request": request.hex(), "wait_for_ready": waits}
        calls, (replaced_s, back_s) = await asyncio.gather(
            self.client.run_at(path, 100_000, per_s=PER_S, is_named=False, **asked), lose()
        )
        return Loss(replaced_s, back_s, calls)

    async def serves(self) -> bool:
        """Whether every agent of the plan does."""
        return (await self.checkout.tandem("status", "--json")).returncode == 0

    async def _pids(self) -> dict[str, int]:
        return self.checkout.pids()


@asynccontextmanager
async def polyglot_fleet(*more: Agent, **variables: str) -> AsyncIterator[PolyglotFleet]:
    """Skips where a language's tools are absent. `more` have a host of Python's, `variables` are of
    everything that it starts.
    """
    demand("node")
    demand("go")
    with short_folder() as folder:
        _write(folder, more)
        checkout = Checkout(folder)
        build_from_sources(checkout)
        checkout.variables |= variables
        async with AsyncExitStack() as stack:
            stack.push_async_callback(checkout.tandem, "down")
            told = await checkout.told("up", "-d")
            assert told["serving"]
            client = client_of(checkout, told["controls"])
            yield PolyglotFleet(checkout, await stack.enter_async_context(client))


def build_from_sources(checkout: Checkout) -> None:
    """Hosts of other languages are built of ours; those that were built before are not again."""
    for name in ("services", "protos", "tools"):
        (checkout.folder / name).symlink_to(ROOT / name)
    environment = Environment.read()
    checkout.variables["XDG_CACHE_HOME"] = str(environment.cache.parent)
    checkout.variables["PATH"] = environment.path


def _write(folder: Path, more: Sequence[Agent]) -> None:
    """Its deploy/."""
    listed = GROUPS | ({"more": [one.name for one in more]} if more else {})
    groups = [
        {"name": name, "agents": agents} | ({"runtime": RUNTIMES[name]} if name in RUNTIMES else {})
        for name, agents in listed.items()
    ]
    placed = [{"group": name} | ({"replicas": 2} if name == "pages" else {}) for name in listed]
    stanzas = [
        {"name": one.name, "service": one.promise.service.full_name}
        | ({"replicas": 2} if one is PAGE_TEXT else {"replicas": 1})
        for one in (REGISTRY, FLEET_STATUS, MACHINE, PAGE_TEXT, FILE_DIGEST, *more)
    ]
    files: dict[str, Any] = {
        "fleet/layout/groups.yaml": {"groups": groups},
        "fleet/profiles/laptop.yaml": {
            "name": "laptop",
            "machines": ["laptop"],
            "groups": placed,
        },
    }
    for stanza in stanzas:
        family = str(stanza["name"]).partition("-")[0]
        files.setdefault(f"fleet/{family}.yaml", {"agents": []})["agents"].append(stanza)
    write_deploy(folder, files)
