"""The edge behind a certificate of its own."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import aiohttp
import pytest

from tandemkit.hosting.edge import Certificate, CertificateRefused, RunningEdge
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.testing import probe
from tandemkit.testing.parts_consul import Identity, consul_identities
from tests.cluster.edge.calling import ask, grpcurl
from tests.cluster.edge.web import whole
from tests.cluster.eventually import eventually
from tests.contract.calls.edge_path import edged
from tests.contract.calls.scripted import Scripted

Identities: TypeAlias = tuple[Identity, Identity]
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.real("envoy"),
    pytest.mark.real("consul"),
    pytest.mark.real("grpcurl"),
]


@pytest.fixture
async def identities(tmp_path_factory: pytest.TempPathFactory) -> Identities:
    """What each of two throw-away CAs signed for 127.0.0.1. Consul carries a maker of them."""
    folders = (tmp_path_factory.mktemp("ca") for _ in range(2))
    one, other = [(await consul_identities(folder))["server"] for folder in folders]
    return one, other


@asynccontextmanager
async def secured(identity: Identity) -> AsyncIterator[RunningEdge]:
    server = Server()
    server.mount(Contract.of(probe.DESCRIPTOR), Scripted())
    server.health.put(probe.SERVICE, serving=True)
    certificate = Certificate(identity.certificate_path, identity.key_path)
    certificate.check()
    try:
        async with edged(server, certificate=certificate) as running:
            yield running
    finally:
        await server.drain(0)


async def test_grpcurl_trusts_the_authority_and_nobody_else(identities: Identities) -> None:
    """Over TLS it lists and calls; without the CA, or without TLS, there is no answer."""
    identity, _ = identities
    async with secured(identity) as running:
        where = f"127.0.0.1:{running.port}"
        listed, _ = await grpcurl("-cacert", str(identity.ca_path), where, "list")
        assert probe.SERVICE in listed.splitlines()
        for trusting in ((), ("-plaintext",)):
            answer, complaint = await grpcurl("-connect-timeout", "2", *trusting, where, "list")
            assert answer == ""
            assert "Failed to dial" in complaint


async def test_grpc_web_over_tls_chooses_either_protocol(identities: Identities) -> None:
    """A client that offers HTTP/2 gets it, one that does not gets HTTP/1.1."""
    identity, _ = identities
    trust = ssl.create_default_context(cafile=str(identity.ca_path))
    async with secured(identity) as running, aiohttp.ClientSession() as session:
        url = f"https://127.0.0.1:{running.port}{probe.path('Echo')}"
        message, trailers = await whole(session, url, ask("hi"), trust=trust)
        assert probe.ProbeResponse.FromString(message.content).text == "hi"
        assert trailers.trailers["grpc-status"] == "0"
        trust.set_alpn_protocols(["h2", "http/1.1"])
        _, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=trust)
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        writer.close()


async def test_a_renewed_certificate_is_used_without_a_restart(identities: Identities) -> None:
    """Moved into the place of the old one, as tools that renew do, it serves new connections."""
    identity, renewed = identities
    async with secured(identity) as running:
        for new, old in (
            (renewed.certificate_path, identity.certificate_path),
            (renewed.key_path, identity.key_path),
        ):
            shutil.copy(new, f"{old}.new")
            shutil.move(f"{old}.new", old)
        where = f"127.0.0.1:{running.port}"

        async def look() -> str:
            return (await grpcurl("-cacert", str(renewed.ca_path), where, "list"))[0]

        await eventually(look, lambda listed: probe.SERVICE in listed)


async def test_a_key_of_another_certificate_is_refused_before_the_start(
    identities: Identities,
) -> None:
    """Envoy would start and answer nobody."""
    one, other = identities
    Certificate(one.certificate_path, one.key_path).check()
    with pytest.raises(CertificateRefused, match="is not that of the certificate"):
        Certificate(one.certificate_path, other.key_path).check()
