"""A Consul that asks who calls: tokens and certificates, both from files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from tandemkit.reach.failure import Refused
from tandemkit.reach.server import TlsFiles
from tandemkit.registry.consul import ConsulRegistry, ConsulSettings, consul_registry
from tandemkit.registry.consul_rights import policy_rules
from tandemkit.testing.parts_consul import DurableConsul, consul_identities, durable_consul
from tests.contract.registry.consul_case import ConsulCase, consul_case
from tests.contract.registry.suite import RefusalSuite

_ROOT_TOKEN = "6f1ed1fb-3b3c-4b5e-9d1a-0f2b8a1f4c55"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded() -> AsyncIterator[DurableConsul]:
    async with durable_consul(root_token=_ROOT_TOKEN) as server:
        yield server


class GuardedConsul(ConsulCase):
    """Its clients' token gives the rights that we document; strangers have none."""

    async def open_stranger(self) -> ConsulRegistry:
        return await self.open_with(replace(self.settings, token_path=None))


class TestGuardedConsul(RefusalSuite):
    @pytest.fixture
    async def case(self, guarded: DurableConsul, tmp_path: Path) -> AsyncIterator[GuardedConsul]:
        async with consul_case(guarded, GuardedConsul) as case:
            rules = policy_rules(case.settings.prefix)
            path = tmp_path / "token"
            path.write_text(f"{await guarded.token_for(rules)}\n")
            case.settings = replace(case.settings, token_path=path)
            yield case


async def test_only_the_right_certificates_connect(tmp_path: Path) -> None:
    """Client and server show certificates of one CA; any other, or none, is refused by name."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
    identities, strangers = await consul_identities(ours), await consul_identities(theirs)
    us, other = identities["client"], strangers["client"]
    async with durable_consul(identity=identities["server"]) as server:
        right = ConsulSettings(
            url=server.secure_url,
            tls=TlsFiles(us.ca_path, us.certificate_path, us.key_path),
        )
        async with consul_registry(right) as registry:
            assert await registry.put("policy", b"") > 0
        for wrong in (
            TlsFiles(),
            TlsFiles(us.ca_path),
            TlsFiles(us.ca_path, other.certificate_path, other.key_path),
            TlsFiles(other.ca_path, us.certificate_path, us.key_path),
        ):
            async with consul_registry(replace(right, tls=wrong)) as registry:
                with pytest.raises(Refused, match="no trust"):
                    await registry.get("policy")
