"""The providers that a profile names, in their order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tandem.fleet.v1.plan_pb2 import PlannedHost, PlannedMachine
from tandem.fleet.v1.secret_pb2 import SecretSources
from tandemkit.core.clock import Clock
from tandemkit.secrecy.chain import MOUNTED, Chain, Folder, Provider


def credentials(sources: SecretSources) -> tuple[str, ...]:
    """Secrets that it takes to ask for the others."""
    if not sources.HasField("vault"):
        return ()
    from tandemkit.secrecy.vault_login import BY_ROLE, BY_TOKEN

    if sources.vault.HasField("app_role"):
        return BY_ROLE
    return BY_TOKEN


def declared(host: PlannedHost) -> frozenset[str]:
    """What the agents of a host need, required or not."""
    return frozenset(name for one in host.agents for name in (*one.secrets, *one.optional_secrets))


def declared_on(machine: PlannedMachine) -> frozenset[str]:
    """The same of all its hosts."""
    return frozenset(name for host in machine.hosts for name in declared(host))


@asynccontextmanager
async def opened(sources: SecretSources, launched: Provider, clock: Clock) -> AsyncIterator[Chain]:
    """`launched` is what the launcher's environment held; it comes last."""
    folders = [Folder(Path(one)) for one in sources.folders or (str(MOUNTED),)]
    behind = [*folders, launched]
    if not sources.HasField("vault"):
        yield Chain(behind)
        return
    # The HTTP client is imported by who has a Vault: 3 MB that no other supervisor pays.
    from tandemkit.secrecy import vault

    async with vault.opened(sources.vault, Chain(behind), clock) as first:
        yield Chain([first, *behind])
