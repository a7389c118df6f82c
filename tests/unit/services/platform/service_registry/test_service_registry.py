"""Who offers what, and who of those is well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from services.control.registry.agent import AGENT as REGISTRY
from services.platform.config_server.agent import AGENT as CONFIG_SERVER
from services.platform.service_registry.agent import AGENT
from tandem.control.config.v1 import registry_pb2 as registry_cfg
from tandem.control.v1 import registration_pb2 as control
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.platform.config.v1 import config_server_pb2 as config_cfg
from tandem.platform.config.v1 import service_registry_pb2 as cfg
from tandem.platform.v1 import config_value_pb2 as config
from tandem.platform.v1 import service_registry_service_pb2 as pb
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.contracts import StoredContract, keep_contracts
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.testing.agents import serving
from tandemkit.testing.parts import short_folder
from tests.unit.services.control.registry.hosts import held
from tests.unit.services.platform.config_server.config_servers import Caller as ConfigCaller
from tests.unit.services.platform.service_registry.service_registries import (
    Caller,
    ports_of,
    refusal,
    web_server,
)

CODE = grpc.StatusCode
FILES = "tandem.utility.v1.FilesService"


def settings() -> cfg.ServiceRegistrySettings:
    return cfg.ServiceRegistrySettings(check_interval=Duration(seconds=1), instances_max=3)


@asynccontextmanager
async def services(folder: Path) -> AsyncIterator[Caller]:
    """The same folder again is a restart."""
    async with serving(AGENT, settings=settings(), beside=(REGISTRY,), state_dir=folder) as channel:
        yield Caller(channel)


@pytest.fixture
async def caller(tmp_path: Path) -> AsyncIterator[Caller]:
    async with services(tmp_path) as found:
        yield found


async def test_m003_only_those_that_are_well_are_discovered(caller: Caller) -> None:
    """The answer waits for the first check, so it is never a guess; who is ill is told with why."""
    async with web_server() as well, web_server() as ill:
        ill.well = False
        await caller.register(well.port, 60, health_url=well.url)
        await caller.register(ill.port, 60, health_url=ill.url)
        assert await caller.discover() == [well.port]
        states = {port: (state, cause) for port, state, cause in await caller.inspect()}
        assert states[well.port] == ("HEALTHY", "")
        assert states[ill.port][0] == "UNHEALTHY"
        assert "503" in states[ill.port][1]
        async with caller.watching() as told:
            await ports_of(told, [well.port])
            ill.well = True
            await ports_of(told, sorted([well.port, ill.port], key=str))
            well.well = False
            await ports_of(told, [ill.port])


async def test_a_service_is_found_by_its_aliases(caller: Caller) -> None:
    """Also those that another instance alone has; one that nobody checks is well."""
    await caller.register(1, 60, aliases=["llm", "Ollama"])
    await caller.register(2, 60)
    assert await caller.discover("llm") == [1]
    assert await caller.discover("ollama") == [1, 2]
    failed = await refusal(caller.discover("olama"))
    assert (failed.code, failed.reason) == (CODE.NOT_FOUND, "SERVICE_NOT_FOUND")
    assert "ollama" in failed.metadata["near"]


async def test_an_instance_is_replaced_by_its_id(caller: Caller) -> None:
    """Its owner may come again with another port, and the earlier lease is over."""
    first = await caller.register(1, 60, id="one")
    second = await caller.register(2, 60, id="one")
    assert await caller.discover() == [2]
    assert (await refusal(caller.renew(first.lease))).reason == "SERVICE_LEASE_LOST"
    await caller.renew(second.lease)
    await caller.deregister("one")
    assert await caller.stub.ListServices(pb.ListServicesRequest())
    assert (await refusal(caller.discover())).reason == "SERVICE_NOT_FOUND"
    for lease in (first.lease, second.lease, b"\xff\xff"):
        failed = await refusal(caller.renew(lease))
        assert (failed.code, failed.reason) == (CODE.FAILED_PRECONDITION, "SERVICE_LEASE_LOST")
    await caller.deregister("one")


async def test_what_is_no_instance_hides_none(caller: Caller) -> None:
    """Others write to the registry too; one bad value of theirs ends nothing."""
    request = registry.OpenRegistrationRequest(key="services/ollama/bad")
    request.value.schema, request.value.content = "a.B", b"\xff"
    request.time_to_live.seconds = 30
    await caller.registry.OpenRegistration(request)
    await caller.register(1, 30)
    assert await caller.discover() == [1]


async def test_what_cannot_renew_itself_is_kept_over_a_restart(tmp_path: Path) -> None:
    """Until somebody takes it out."""
    async with services(tmp_path) as caller:
        assert (await caller.register(1)).lease == b""
        await caller.register(2)
        await caller.deregister("127.0.0.1-2")
    for _ in range(2):
        async with services(tmp_path) as caller, caller.watching() as told:
            await ports_of(told, [1])
    async with services(tmp_path) as caller:
        await caller.deregister("127.0.0.1-1")
        async with caller.watching() as told:
            await ports_of(told, [])


async def test_after_a_restart_a_renewal_tells_which_lease_it_is(tmp_path: Path) -> None:
    """Before it nobody can take the instance out, and the refusal says to try again."""
    async with services(tmp_path) as caller:
        lease = (await caller.register(1, 60)).lease
    async with services(tmp_path) as caller:
        async with caller.watching() as told:
            await ports_of(told, [1])
        failed = await refusal(caller.deregister("127.0.0.1-1"))
        assert (failed.code, failed.reason) == (CODE.UNAVAILABLE, "SERVICE_LEASE_UNKNOWN")
        await caller.renew(lease)
        await caller.deregister("127.0.0.1-1")
        assert (await refusal(caller.discover())).reason == "SERVICE_NOT_FOUND"


async def test_agents_are_found_by_all_their_names(caller: Caller) -> None:
    """As their hosts say that they are; nobody else may take a name of theirs."""
    contract = StoredContract.of(REGISTRY.contract)
    await keep_contracts(caller.registry, [contract], 5.0)
    service = REGISTRY.promise.service.full_name
    placement = control.Placement(service=service, serving=True, contract_digest=contract.digest)
    other = control.Placement(service=FILES, instance="utility-files-b", serving=False)
    host = control.Host(
        name="hosts/a",
        machine="laptop",
        group="control",
        address="127.0.0.1",
        port=8200,
        placements=[placement, other],
    )
    async with caller.watching("FleetRegistry") as told:
        await held(caller.registry, host, 60)
        await ports_of(told, [8200])
    for name in (REGISTRY.name, service, "FleetRegistry"):
        request = pb.DiscoverServiceRequest(name=name)
        (found,) = (await caller.stub.DiscoverService(request)).instances
        assert (found.service, found.id, found.machine) == (REGISTRY.name, "a", "laptop")
    assert await caller.discover("utility-files-b") == []
    assert (await caller.inspect("utility-files-b"))[0][1] == "UNHEALTHY"
    failed = await refusal(caller.register(name=REGISTRY.name))
    assert (failed.code, failed.reason) == (CODE.ALREADY_EXISTS, "SERVICE_NAME_RESERVED")
    failed = await refusal(caller.register(aliases=["FleetRegistry"]))
    assert failed.reason == "SERVICE_NAME_RESERVED"
    listed = (await caller.stub.ListServices(pb.ListServicesRequest(page_size=1))).services
    assert [(one.name, list(one.aliases)) for one in listed] == [
        (REGISTRY.name, sorted(["FleetRegistry", service]))
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "ftp://127.0.0.1:1/",
        "http://127.0.0.1/\r\nX-Evil: 1",
        "http://nowhere.invalid/",
    ],
)
async def test_nobody_is_asked_where_policy_forbids(caller: Caller, url: str) -> None:
    """The one who registers hears so at once."""
    failed = await refusal(caller.register(health_url=url))
    assert (failed.code, failed.reason) == (CODE.INVALID_ARGUMENT, "SERVICE_ADDRESS_REFUSED")
    assert "health_url" in failed.violations


async def test_no_more_than_the_settings_allow(caller: Caller) -> None:
    """Who is registered may come again."""
    for port in (1, 2, 3, 3):
        await caller.register(port, 60)
    failed = await refusal(caller.register(4, 60))
    assert (failed.code, failed.reason) == (CODE.RESOURCE_EXHAUSTED, "SERVICE_REGISTRY_FULL")


@pytest.mark.parametrize(
    "said",
    [{"name": "Ollama"}, {"name": ""}, {"host": "a b"}, {"port": 0}, {"id": "../x"}],
)
async def test_bad_input_is_refused(caller: Caller, said: dict[str, Any]) -> None:
    """Before anything is looked up."""
    assert (await refusal(caller.register(**said))).code is CODE.INVALID_ARGUMENT


async def test_how_often_is_asked_is_configured_while_it_runs(tmp_path: Path) -> None:
    """Who is waited for too long is asked sooner, without a restart."""
    key = "services.check_interval"
    kind = config.CONFIG_KIND_DURATION
    declared = config_cfg.ConfigDeclaration(key=key, kind=kind, purpose="Asks.", default="3600s")
    inline = config_cfg.ConfigFile(declarations=[declared])
    server = Placed(CONFIG_SERVER, config_cfg.ConfigServerSettings(inline=inline))
    placed = [Placed(AGENT, settings()), Placed(REGISTRY, registry_cfg.RegistrySettings()), server]
    with short_folder() as folder:
        address = f"unix:{folder}/host"
        async with (
            hosting(placed, Place(address, tmp_path, SystemClock(), 0.0)),
            grpc.aio.insecure_channel(address) as channel,
            web_server() as web,
        ):
            caller, configured = Caller(channel), ConfigCaller(channel)
            found = await configured.get(key)
            assert found.value.duration.seconds == 3600
            await caller.register(web.port, 60, health_url=web.url)
            assert await caller.discover() == [web.port]
            web.well = False
            async with caller.watching() as told:
                await ports_of(told, [web.port])
                fast = config.ConfigValue(duration=Duration(nanos=100_000_000))
                await configured.set(key, fast, agent=AGENT.name)
                await ports_of(told, [])
