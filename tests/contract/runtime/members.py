"""A host's place in its fleet: what it registers, by whose leave, and for how long."""

from __future__ import annotations

import asyncio
import shutil
import signal
from datetime import timedelta

import pytest

from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2 as registry
from tandem.control.v1 import registry_service_pb2_grpc as registry_rpc
from tandemkit.core.clock import SystemClock
from tandemkit.core.token import Token
from tandemkit.hosting.membership import LEASE_S
from tandemkit.hosting.vouching import KEY_FILE_NAME, vouched, written
from tests.cluster.controlled import MACHINE
from tests.contract.runtime.hosted import Fleet, Host


class MemberPromises:
    async def test_it_registers_as_what_it_was_told_to(self, fleet: Fleet, host: Host) -> None:
        """With the agent that it serves, at the address that callers reach."""
        found = await fleet.until_there(host.name)
        assert f"{found.address}:{found.port}" == host.order.address
        assert (found.machine, found.group) == (host.order.site.machine, host.order.name)
        (placed,) = found.placements
        assert (placed.service, placed.instance) == (host.runtime.service, "")
        assert placed.serving

    async def test_it_renews_its_lease(self, fleet: Fleet, host: Host) -> None:
        """Its watchers hear nothing for longer than that would last, and it was taken once."""
        await fleet.until_there(host.name)
        async with fleet.control() as channel:
            stub = registry_rpc.RegistryServiceStub(channel)
            watch = stub.WatchHosts(registry.WatchHostsRequest())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5 * LEASE_S):
                    async for told in watch:
                        assert told.removed.host != host.name
            watch.cancel()
        assert len(host.events("host.announced")) == 1

    async def test_a_frozen_host_is_out_of_the_fleet_and_comes_back(self, fleet: Fleet) -> None:
        """The loop that serves calls renews the lease, so what does not serve does not renew."""
        host = await fleet.start()
        await fleet.until_there(host.name)
        host.signal(signal.SIGSTOP)
        await fleet.until_gone(host.name)
        host.signal(signal.SIGCONT)
        await fleet.until_there(host.name)

    async def test_it_registers_again_with_a_control_that_was_away(self, fleet: Fleet) -> None:
        """It serves meanwhile, and needs no restart."""
        host = await fleet.start()
        await fleet.until_there(host.name)
        await fleet.controlled.kill("control")
        await host.until_logged("host.unannounced")
        assert host.runtime.good.is_right(await host.ask(host.runtime.good))
        await fleet.controlled.start_control()
        await fleet.until_there(host.name)

    async def test_nobody_registers_with_the_key_of_another_fleet(self, fleet: Fleet) -> None:
        """Having the token makes a caller, not a host."""
        folder = fleet.home.folder / "stranger"
        folder.mkdir(mode=0o700)
        token = folder / "token"
        shutil.copy2(fleet.token.path, token)
        host = await fleet.start("--token-file", str(token), announced=False)
        line = await host.until_logged("host.unannounced")
        assert (line["code"], line["reason"]) == ("PERMISSION_DENIED", "HOST_NOT_VOUCHED")
        assert host.name not in await fleet.hosts()
        assert (folder / KEY_FILE_NAME).stat().st_mode & 0o777 == 0o600

    async def test_a_credential_does_where_the_key_is_not(self, fleet: Fleet) -> None:
        """That of `./tandem token host`, from a file."""
        folder = fleet.home.folder / "lodger"
        folder.mkdir(mode=0o700)
        token, file = folder / "token", folder / "credential"
        shutil.copy2(fleet.token.path, token)
        name = f"hosts/{MACHINE}-lodger"
        said = nouns.HostCredential(host=name, services=[fleet.runtime.service])
        said.expire_time.FromDatetime(SystemClock().now() + timedelta(hours=1))
        key = Token(fleet.token.path.with_name(KEY_FILE_NAME))
        file.write_text(f"{written(vouched(key, said))}\n")
        shown = ("--token-file", str(token), "--credential", str(file))
        await fleet.start(*shown, "--host-name", name.removeprefix("hosts/"))
        await fleet.until_there(name)
        assert not (folder / KEY_FILE_NAME).exists()
