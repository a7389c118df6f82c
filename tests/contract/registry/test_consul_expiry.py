"""What nobody is left to end, Consul ends itself."""

from __future__ import annotations

import json

from tandemkit.registry.consul import ConsulSettings, consul_registry
from tandemkit.testing.parts_consul import durable_consul
from tests.cluster.eventually import eventually


async def test_what_all_controls_left_consul_ends_itself() -> None:
    """Where no control lives to end a lease, its session runs out after twice Consul's shortest
    TTL, and takes the rows of the lease along.
    """
    async with durable_consul() as server:
        async with consul_registry(ConsulSettings(url=server.url, prefix="left")) as registry:
            lease = await registry.open_lease("host-a", 2.0)
            await registry.register(lease, "agents/one", b"a")
            await registry.put("stays", b"")

        async def rows() -> list[str]:
            return list(json.loads(await server.ask("kv/left/?keys")))

        left = ["left/alive/leases/host-a", "left/registrations/agents/one", "left/values/stays"]
        assert await rows() == left
        await eventually(rows, lambda found: found == left[2:], within_s=25.0)
