"""The registry in a real Consul keeps the promises of every registry."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tandemkit.registry.consul import ConsulRegistry, ConsulSettings, Refused, consul_registry
from tandemkit.registry.protocol import Entry, Event, Lease, LeaseLost, Snapshot, Unreachable
from tandemkit.testing.parts_consul import DurableConsul, consul_identities, durable_consul
from tests.cluster.eventually import eventually
from tests.contract.registry.case import until, watching
from tests.contract.registry.consul_case import ConsulCase, consul_case
from tests.contract.registry.leases import LONG_TTL_S
from tests.contract.registry.suite import NetworkSuite, RegistrySuite, RestartSuite


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[DurableConsul]:
    """One for all that leave it as it is: each case has a prefix of its own."""
    async with durable_consul() as server:
        yield server


class TestConsul(RegistrySuite):
    """Each client is a registry of its own, as on two machines."""

    @pytest.fixture
    async def case(self, shared: DurableConsul) -> AsyncIterator[ConsulCase]:
        async with consul_case(shared) as case:
            yield case


@pytest.fixture
async def case() -> AsyncIterator[ConsulCase]:
    """With a server to kill."""
    async with durable_consul() as server, consul_case(server) as case:
        yield case


class TestFailingConsul(RestartSuite, NetworkSuite):
    """Each test has a server of its own."""


async def test_a_consul_that_froze_evicts_nobody(case: ConsulCase) -> None:
    """Nobody could renew meanwhile, so everybody has their whole time once it goes on."""
    registry = await case.open()
    lease = await registry.open_lease("host-a", case.ttl_s)
    await registry.register(lease, "agents/one", b"a")
    case.server.freeze()
    with pytest.raises(Unreachable):
        await registry.renew(lease)
    await case.clock.sleep(case.ttl_s)
    case.server.thaw()
    await registry.renew(lease)
    async with watching(case, registry) as watched:
        assert set(watched.view) == {"agents/one"}


async def test_a_control_that_heard_nothing_evicts_nobody(case: ConsulCase) -> None:
    """What is renewed through one control does not lapse for another that was cut off."""
    near = case.server
    settings = replace(case.settings, url=near.url)
    async with consul_registry(settings) as whole:
        cut_off = await case.open()
        lease = await whole.open_lease("host-a", case.ttl_s)
        await whole.register(lease, "agents/one", b"a")
        async with watching(case, cut_off) as watched:
            await case.cut()
            for turn in range(10):
                await case.clock.sleep(case.ttl_s / 2)
                await whole.renew(lease)
                if turn == 6:
                    await case.heal()
            await whole.register(lease, "agents/two", b"a")
            await until(case, lambda: len(watched.view) == 2)


async def test_a_consul_that_forgot_everything_is_believed(case: ConsulCase) -> None:
    """Its indexes went back: watchers get a Snapshot of what there is now."""
    registry = await case.open()
    lease = await registry.open_lease("host-a", LONG_TTL_S)
    for number in range(100):
        await registry.register(lease, "agents/one", b"%d" % number)
    async with aclosing(registry.watch()) as events:
        before = await anext(events)
        assert isinstance(before, Snapshot)
        assert before.entries == (Entry("agents/one", b"99", "host-a"),)
        await case.server.forget()
        after = await anext(events)
        assert isinstance(after, Snapshot)
        assert after.entries == ()
        assert after.revision < before.revision
        lease = await registry.open_lease("host-b", LONG_TTL_S)
        await registry.register(lease, "agents/two", b"")
        assert (await anext(events)).revision < before.revision


@pytest.mark.parametrize("identity", ["", "1-", "1-../../kv/tandem", "x-" + "0" * 36, "1" * 99])
async def test_an_id_that_was_never_given_out_is_no_lease(
    shared: DurableConsul, identity: str
) -> None:
    """Ids come from hosts and go into paths of Consul, so nothing else may be in them."""
    async with consul_registry(ConsulSettings(url=shared.url, prefix="forged")) as registry:
        forged = Lease(identity, "host-a", LONG_TTL_S)
        for call in (registry.renew, partial(registry.register, key="agents/one", value=b"")):
            with pytest.raises(LeaseLost):
                await call(forged)
        await registry.close_lease(forged)
        await registry.deregister(forged, "agents/one")


async def test_a_watch_says_that_consul_stays_away(case: ConsulCase) -> None:
    """It raises instead of showing an old state forever, and a new one works once it is back."""
    settings = replace(case.settings, away_within_s=0.5)
    async with consul_registry(settings) as registry, aclosing(registry.watch()) as events:
        await anext(events)
        await case.server.kill()
        with pytest.raises(Unreachable):
            await anext(events)
        await case.server.start()
        async with watching(case, registry) as watched:
            assert watched.view == {}


async def test_what_all_controls_left_consul_ends_itself(shared: DurableConsul) -> None:
    """Where no control lives to end a lease, its session runs out after twice Consul's shortest
    TTL, and takes the rows of the lease along.
    """
    settings = ConsulSettings(url=shared.url, prefix="left")
    async with consul_registry(settings) as registry:
        lease = await registry.open_lease("host-a", 2.0)
        await registry.register(lease, "agents/one", b"a")
        await registry.put("stays", b"")

    async def rows() -> list[str]:
        return list(json.loads(await shared.ask("kv/left/?keys")))

    left = ["left/alive/leases/host-a", "left/registrations/agents/one", "left/values/stays"]
    assert await rows() == left
    await eventually(rows, lambda found: found == left[2:], within_s=25.0)


def each_kind_of_call(registry: ConsulRegistry) -> list[Callable[[], Awaitable[object]]]:
    return [
        partial(registry.open_lease, "host-a", LONG_TTL_S),
        partial(registry.elect, "planner", "control-a", LONG_TTL_S),
        partial(registry.put, "policy", b""),
        partial(registry.put, "policy", b"", expected=1),
        partial(registry.delete, "policy"),
        partial(registry.get, "policy"),
        partial(first_event, registry),
    ]


async def first_event(registry: ConsulRegistry) -> Event:
    async with aclosing(registry.watch()) as events:
        return await anext(events)


async def test_a_token_opens_what_is_denied_without_it(tmp_path: Path) -> None:
    """A denied call says so at once, a watch too; the rights that we document are enough."""
    root, secret = "6f1ed1fb-3b3c-4b5e-9d1a-0f2b8a1f4c55", tmp_path / "token"
    async with durable_consul(root_token=root) as server:
        settings = ConsulSettings(url=server.url)
        async with consul_registry(settings) as stranger:
            for call in each_kind_of_call(stranger):
                with pytest.raises(Refused, match="denied the token"):
                    await call()
        secret.write_text(f"{await limited_token(server)}\n")
        async with consul_registry(replace(settings, token_path=secret)) as known:
            lease = await known.open_lease("host-a", LONG_TTL_S)
            await known.register(lease, "agents/one", b"a")
            await known.renew(lease)
            leader = await known.elect("planner", "control-a", LONG_TTL_S)
            assert await known.put("policy", b"", leadership=leader) > 0
            assert (await first_event(known)).revision > 0
            await known.close_lease(lease)


async def limited_token(server: DurableConsul) -> str:
    rights = 'key_prefix "tandem/" { policy = "write" } session_prefix "" { policy = "write" }'
    policy = {"Name": "tandem", "Rules": rights}
    await server.ask("acl/policy", method="PUT", body=policy)
    body = {"Policies": [{"Name": policy["Name"]}]}
    return str(json.loads(await server.ask("acl/token", method="PUT", body=body))["SecretID"])


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
            ca_path=us.ca_path,
            certificate_path=us.certificate_path,
            key_path=us.key_path,
        )
        async with consul_registry(right) as registry:
            assert await registry.put("policy", b"") > 0
        for wrong in (
            replace(right, ca_path=other.ca_path),
            replace(right, ca_path=None),
            replace(right, certificate_path=None, key_path=None),
            replace(right, certificate_path=other.certificate_path, key_path=other.key_path),
        ):
            async with consul_registry(wrong) as registry:
                with pytest.raises(Refused, match="no trust"):
                    await registry.get("policy")
