"""Who may register as which host, at a control that asks for the token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from services.control.registry.agent import AGENT
from tandem.control.config.v1 import registry_pb2 as cfg
from tandem.control.v1 import registration_pb2 as nouns
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.core.token import Token
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.vouching import HEADER, by_key, key_beside
from tandemkit.testing.parts import short_folder
from tandemkit.testing.tokens import own_token, shown
from tests.unit.services.control.registry.hosts import (
    Held,
    change,
    failure,
    host,
    opening,
)


@dataclass
class Guarded:
    """A registry, and the token and the key that it asks for."""

    registry: rpc.RegistryServiceAsyncStub
    token: Token

    def hold(self, vouched_for: nouns.Host | None) -> Held:
        """A stream that shows a credential for this host, or none."""
        if vouched_for is None:
            return Held(self.registry.HoldLease())
        credential = by_key(key_beside(self.token), SystemClock())(vouched_for)
        return Held(self.registry.HoldLease(metadata=((HEADER, credential),)))


@asynccontextmanager
async def guarded(state: Path) -> AsyncIterator[Guarded]:
    with own_token() as token, short_folder() as folder:
        address = f"unix:{folder}/s"
        place = Place(address, state, SystemClock(), 0.0, token=token)
        async with (
            hosting((Placed(AGENT, cfg.RegistrySettings()),), place),
            shown(address, token) as channel,
        ):
            yield Guarded(rpc.RegistryServiceStub(channel), token)


async def test_a_caller_with_the_token_alone_takes_no_hosts_place(tmp_path: Path) -> None:
    """It may call everything, and is told what a host needs besides."""
    async with guarded(tmp_path) as it:
        failed = await failure(it.hold(None).step(opening(host())))
    assert failed.code is grpc.StatusCode.PERMISSION_DENIED
    assert failed.reason == "HOST_NOT_VOUCHED"
    assert "hosts.key" in failed.message


@pytest.mark.parametrize("vouched_for", [host("hosts/b"), nouns.Host(name="hosts/a")])
async def test_a_host_registers_as_itself_with_what_it_may_serve(
    tmp_path: Path, vouched_for: nouns.Host
) -> None:
    """Neither under another name nor with another agent; and one that may is let in."""
    async with guarded(tmp_path) as it:
        failed = await failure(it.hold(vouched_for).step(opening(host())))
        assert failed.reason == "HOST_NOT_VOUCHED"
        assert await it.hold(host()).step(opening(host()))


async def test_a_host_takes_on_no_more_under_its_lease(tmp_path: Path) -> None:
    """A change is checked as the opening was, and the lease ends with one that is refused."""
    async with guarded(tmp_path) as it:
        held = it.hold(host())
        await held.step(opening(host()))
        await held.step(change(host(serving=False)))
        more = host()
        more.placements.add(service="tandem.text.v1.SummarizeService", serving=True)
        assert (await failure(held.step(change(more)))).reason == "HOST_NOT_VOUCHED"


async def test_a_host_takes_on_more_where_somebody_vouches_for_that(tmp_path: Path) -> None:
    """A change may bring a credential of its own, which counts from then on."""
    async with guarded(tmp_path) as it:
        held = it.hold(host())
        await held.step(opening(host()))
        more = host()
        more.placements.add(service="tandem.text.v1.SummarizeService", serving=True)
        vouched = change(more)
        vouched.change.credential = by_key(key_beside(it.token), SystemClock())(more)
        assert await held.step(vouched)
        assert await held.step(change(more))
        vouched.change.credential = b"made up"
        assert (await failure(held.step(vouched))).reason == "HOST_NOT_VOUCHED"
