"""A client that calls the whole fleet holds a connection to each host, and hardly more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tandemkit.testing.parts import short_folder
from tests.cluster.controlled import controlled
from tests.cluster.eventually import eventually
from tests.cluster.load import Outcome
from tests.cluster.mesh.many_contracts import GROUPS, STICKY_GROUPS, services
from tests.cluster.mesh.trial_contract import AFFINITY
from tests.cluster.mesh.trial_fleet import Client

pytestmark = pytest.mark.cluster
GROUP_HOSTS = 2
CONNECTIONS_MAX = 16
_ESTABLISHED = "01"
# Enough for both hosts of a ring to have some.
SESSIONS = 8


def connections(pid: int) -> list[str]:
    """The far ends of the TCP connections that this process has, as the kernel writes them."""
    sockets = {f"{one.readlink()}" for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _ESTABLISHED and f"socket:[{fields[9]}]" in sockets:
                found.append(fields[2])
    return found


async def until_answered(client: Client, service: str) -> None:
    """Clients are told of the last host a little after it was announced."""

    async def ask() -> Outcome:
        return await client.run_at(f"/{service}/Ask", 2)

    await eventually(ask, lambda outcome: outcome.answers == {service: 2})


async def test_a_client_of_a_hundred_agents_holds_sixteen_connections_at_most() -> None:
    """Eight hosts in four groups, half of the agents with an affinity: to each host one, to those
    with a ring one more, and what the control needs.
    """
    with short_folder() as folder:
        async with controlled(folder) as fleet:
            hosts = [
                (f"group-{group}-{number}", group)
                for group in range(GROUPS)
                for number in range(GROUP_HOSTS)
            ]
            await asyncio.gather(*(fleet.start_many(name, group) for name, group in hosts))
            client = await fleet.client()
            called = 0
            for group in range(GROUPS):
                for service in services(group):
                    await until_answered(client, service)
                    called += 1
                    for session in range(SESSIONS if group in STICKY_GROUPS else 0):
                        headers = {AFFINITY: str(session)}
                        outcome = await client.run_at(f"/{service}/Stick", 1, headers=headers)
                        assert outcome.answers == {service: 1}, outcome.last_failure
            held = connections(client.pid)
    assert called == 100
    assert len(hosts) <= len(held) <= CONNECTIONS_MAX, held
