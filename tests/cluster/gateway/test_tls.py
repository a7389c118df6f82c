"""The gateway behind a certificate of its own."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from services.gateway.http import door
from tandem.gateway.config.v1 import http_pb2 as cfg
from tandemkit.hosting.edge import CertificateRefused
from tandemkit.testing.parts_consul import consul_identities
from tests.unit.services.gateway.http.gateways import ADDRESS, Probing, gateway
from tests.unit.services.gateway.http.raw import wire

pytestmark = [pytest.mark.cluster, pytest.mark.real("consul")]


async def test_who_trusts_its_authority_asks_over_tls_and_nobody_asks_without(
    tmp_path: Path,
) -> None:
    """HTTPS alone; the token is asked for as before."""
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    one, other = [(await consul_identities(folder))["server"] for folder in folders]
    settings = cfg.HttpSettings(
        address=ADDRESS,
        certificate_file=str(one.certificate_path),
        key_file=str(one.key_path),
    )
    trusting = ssl.create_default_context(cafile=one.ca_path)
    strange = ssl.create_default_context(cafile=other.ca_path)
    async with gateway(tmp_path, Probing().agent, settings=settings) as it:
        assert it.url.startswith("https://127.0.0.1:")
        path = "/api/probe-probe/Echo"
        assert await it.post(path, {"text": "a"}, ssl=trusting) == (200, {"text": "a"})
        async with aiohttp.ClientSession() as stranger:
            async with stranger.post(f"{it.url}{path}", json={}, ssl=trusting) as told:
                assert told.status == 401
                assert "max-age" in told.headers["strict-transport-security"]
            with pytest.raises(aiohttp.ClientConnectorError):
                await stranger.post(f"{it.url}{path}", json={}, ssl=strange)
            with pytest.raises(aiohttp.ClientError):
                await stranger.post(f"{it.url.replace('https', 'http')}{path}", json={})
        assert await it.post(path, {"text": "a"}, ssl=trusting) == (200, {"text": "a"})


async def test_who_never_agrees_upon_tls_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections without an end of their handshake count, the oldest make room, and the last go
    when their time is over.
    """
    identity = (await consul_identities(tmp_path))["server"]
    settings = cfg.HttpSettings(
        address=ADDRESS,
        connections_max=8,
        certificate_file=str(identity.certificate_path),
        key_file=str(identity.key_path),
    )
    trusting = ssl.create_default_context(cafile=identity.ca_path)
    monkeypatch.setattr(door, "HANDSHAKE_S", 60.0)
    async with (
        gateway(tmp_path, Probing().agent, settings=settings) as it,
        AsyncExitStack() as stack,
    ):
        silent = [await stack.enter_async_context(wire(it.url)) for _ in range(32)]
        for one in silent[:24]:
            assert await one.closed()
        asked = it.post("/api/probe-probe/Echo", {"text": "a"}, ssl=trusting)
        assert await asked == (200, {"text": "a"})
        monkeypatch.setattr(door, "HANDSHAKE_S", 0.3)
        late = await stack.enter_async_context(wire(it.url))
        assert await late.closed()


async def test_a_certificate_that_cannot_be_used_is_said_before_the_start(tmp_path: Path) -> None:
    """It would only fall silent."""
    (tmp_path / "no.pem").write_text("none")
    wrong = str(tmp_path / "no.pem")
    settings = cfg.HttpSettings(address=ADDRESS, certificate_file=wrong, key_file=wrong)
    with pytest.raises(CertificateRefused):
        async with gateway(tmp_path, settings=settings):
            pass
