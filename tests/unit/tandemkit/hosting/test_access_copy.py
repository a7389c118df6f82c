"""The rules of namespaces as a host follows them, and what it goes by while control is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import grpc

from services.control.registry.agent import AGENT as REGISTRY
from tandem.control.config.v1 import registry_pb2 as cfg
from tandem.control.v1 import registration_pb2 as hosts
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandem.memory.v1 import namespace_pb2 as nouns
from tandem.memory.v1 import namespace_service_pb2 as asking
from tandemkit.core.caller_key import CallerKey
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.access import Right, Rules
from tandemkit.hosting.access_copy import KEY, access_followed
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.membership import Membership
from tandemkit.hosting.told import Copy
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.testing import probe
from tandemkit.testing.parts import short_folder
from tests.cluster.eventually import eventually

ASKING, OTHER = Contract.of(asking.DESCRIPTOR), Contract.of(probe.DESCRIPTOR)
Stub: TypeAlias = "registry_rpc.RegistryServiceAsyncStub"
ADA = CallerKey("ada", 1000, 5000)


def _following(
    server: Server, control: str, folder: Path, contract: Contract = ASKING
) -> AbstractAsyncContextManager[None]:
    membership = Membership((control,), hosts.Host(name="hosts/one", machine="m", group="g"))
    return access_followed(server, [contract], membership, (folder, SystemClock()))


@asynccontextmanager
async def _control(folder: Path) -> AsyncIterator[tuple[str, Stub]]:
    with short_folder() as sockets:
        address = f"unix:{sockets}/control"
        place = Place(address, folder, SystemClock(), 0.0)
        async with (
            hosting([Placed(REGISTRY, cfg.RegistrySettings())], place),
            grpc.aio.insecure_channel(address) as wire,
        ):
            yield address, registry_rpc.RegistryServiceStub(wire)


def _record() -> nouns.AccessRecord:
    record = nouns.AccessRecord()
    record.namespaces.add(name="namespaces/team-a").rules.add(
        callers=["callers/ada"], right=nouns.RIGHT_READ
    )
    record.revoked.add(caller="callers/ada").before_time.seconds = 2000
    record.change.version = 1
    return record


def _rules(server: Server) -> Rules:
    rules = server.callers.rules
    assert isinstance(rules, Rules)
    return rules


async def test_a_host_follows_the_rules_and_keeps_them_while_control_is_away(
    tmp_path: Path,
) -> None:
    """Over its own death too; a revoked key is known at the gate."""

    async def right() -> Right:
        return _rules(server).right("callers/ada", "team-a")

    async with _control(tmp_path / "control") as (control, stub):
        server = Server()
        async with _following(server, control, tmp_path / "state"):
            await eventually(lambda: _known(server))
            assert await right() == Right.NONE
            content = _record().SerializeToString()
            value = registry.StoredValue(schema=_record().DESCRIPTOR.full_name, content=content)
            await stub.PutValue(registry.PutValueRequest(key=KEY, value=value))
            await eventually(right, lambda found: found == Right.READ)
            kept = Copy(tmp_path / "state" / "access" / "one.copy", nouns.AccessRecord)
            await eventually(kept.load, lambda found: found == _record())
    server = Server()
    async with _following(server, "unix:/nowhere", tmp_path / "state"):
        assert await right() == Right.READ
        assert "revoked" in _rules(server).refuses(ADA)


async def _known(server: Server) -> bool:
    return _rules(server).is_known


async def test_a_host_that_was_told_nothing_knows_no_rules(tmp_path: Path) -> None:
    """Nobody has a right there but who needs none; neither where it never listens."""
    for contract in (ASKING, OTHER):
        server = Server()
        async with _following(server, "unix:/nowhere", tmp_path, contract):
            assert not _rules(server).is_known
            assert _rules(server).right("agents/tasks-job", "default") == Right.NONE
            assert _rules(server).right("operator", "default") == Right.OWN
