"""Two controls on one Consul or one Redis, as processes, and hosts that know both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from ssl import CERT_REQUIRED, Purpose, create_default_context

import grpc

from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.core.token import Token
from tandemkit.registry.consul_rights import policy_rules
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.parts import free_ports
from tandemkit.testing.parts_consul import DurableConsul, consul_identities, durable_consul
from tandemkit.testing.parts_storage import DurableRedis, durable_redis_server
from tandemkit.testing.relay import relay_to
from tandemkit.testing.tokens import shown
from tests.cluster import control_host
from tests.cluster.controlled import Controlled
from tests.cluster.eventually import eventually

ROOT_TOKEN = "0d3cf1f3-2a52-4d3c-8a0f-9c3c51a7d0a4"
PASSWORD = "a secret"
ONE, TWO = "control", "second"


@dataclass(frozen=True)
class Backend:
    """A real server, guarded by secrets and certificates from files, and what control is told."""

    server: DurableConsul | DurableRedis
    settings: Mapping[str, object]

    async def kill_and_restart(self) -> None:
        await self.server.kill()
        await self.server.start()


class Heard:
    """What a watcher of one control hears of the hosts. It begins again where the watch ended."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self.hosts: set[str] = set()
        self.gone: list[str] = []
        self.watches_count = 0

    async def follow(self, address: str) -> None:
        while True:
            async with shown(address, self._token) as channel:
                try:
                    await self._follow_once(rpc.RegistryServiceStub(channel))
                except grpc.aio.AioRpcError:
                    continue

    async def until(self, *names: str) -> None:
        async def look() -> set[str]:
            return self.hosts

        await eventually(look, lambda found: found == {f"hosts/{name}" for name in names})

    async def _follow_once(self, stub: rpc.RegistryServiceAsyncStub) -> None:
        async for told in stub.WatchHosts(pb.WatchHostsRequest(), wait_for_ready=True):
            match told.WhichOneof("event"):
                case "snapshot":
                    hosts = {host.name for host in told.snapshot.hosts}
                    self.gone += self.hosts - hosts
                    self.hosts = hosts
                    self.watches_count += 1
                case "changed":
                    self.hosts.add(told.changed.host.name)
                case "removed":
                    self.gone.append(told.removed.host)
                    self.hosts.discard(told.removed.host)


class Controls(Controlled):
    """Both speak to the same backend; hosts announce themselves at the first that answers."""

    def __init__(self, folder: Path, stack: AsyncExitStack, backend: Backend) -> None:
        super().__init__(folder, stack)
        self.backend = backend
        self._addresses = dict(
            zip((ONE, TWO), (f"127.0.0.1:{port}" for port in free_ports(2)), strict=True)
        )
        for name, address in self._addresses.items():
            self._ports[name] = int(address.rpartition(":")[2])
        # A lone control on Redis has to be back before the leases of its hosts have run out there.
        self.lease_s = 3
        self.control = ",".join(self._addresses.values())

    async def start(self, name: str) -> None:
        said = {"control-registry": self.backend.settings}
        settings = self._settings(name, said)
        where = ("--control", self._addresses[name], "--machine", "mainpc", "--host-name", name)
        await self._start(control_host, name, *where, "--settings", str(settings))

    def _fleet(self, name: str) -> tuple[str, ...]:
        return (*super()._fleet(name), "--lease-s", str(self.lease_s))

    def announced_count(self, name: str) -> int:
        """How often this host has taken a lease."""
        return (self.folder / f"{name}.log").read_text().count('"host.announced"')

    def was_refused(self, name: str) -> bool:
        return "BACKEND_REFUSED" in (self.folder / f"{name}.log").read_text()

    @asynccontextmanager
    async def heard_at(self, name: str) -> AsyncIterator[Heard]:
        heard = Heard(self.token)
        async with Tasks() as tasks:
            tasks.spawn("watch", heard.follow(self._addresses[name]))
            yield heard


@asynccontextmanager
async def guarded_consul(folder: Path) -> AsyncIterator[Backend]:
    """With ACL, and HTTPS to clients of its own CA; control's token may what we document."""
    identities = await consul_identities(folder)
    async with durable_consul(root_token=ROOT_TOKEN, identity=identities["server"]) as server:
        token = folder / "token"
        token.write_text(f"{await server.token_for(policy_rules())}\n")
        us = identities["client"]
        tls = {
            "ca_file": str(us.ca_path),
            "certificate_file": str(us.certificate_path),
            "key_file": str(us.key_path),
        }
        said = {
            "address": server.secure_url,
            "token_file": str(token),
            "tls": tls,
            "check_interval": "1s",
        }
        yield Backend(server, {"consul": said})


@asynccontextmanager
async def guarded_redis(folder: Path) -> AsyncIterator[Backend]:
    """With a password, and TLS to clients of the same CA."""
    identities = await consul_identities(folder)
    password = folder / "password"
    password.write_text(f"{PASSWORD}\n")
    server_side, us = identities["server"], identities["client"]
    trust = create_default_context(Purpose.CLIENT_AUTH, cafile=str(server_side.ca_path))
    trust.load_cert_chain(server_side.certificate_path, server_side.key_path)
    trust.verify_mode = CERT_REQUIRED
    async with durable_redis_server(password=PASSWORD) as server:
        connect = partial(asyncio.open_unix_connection, server.socket)
        async with relay_to(connect, trust) as (_, port):
            tls = {
                "ca_file": str(us.ca_path),
                "certificate_file": str(us.certificate_path),
                "key_file": str(us.key_path),
            }
            said = {"address": f"localhost:{port}", "password_file": str(password), "tls": tls}
            yield Backend(server, {"redis": said})


@asynccontextmanager
async def controls(folder: Path, backend: Backend) -> AsyncIterator[Controls]:
    async with AsyncExitStack() as stack:
        yield Controls(folder, stack, backend)
