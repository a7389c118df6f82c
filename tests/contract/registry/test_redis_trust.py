"""A Redis that asks who calls: passwords and certificates, both from files."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tandemkit.registry.protocol import Unreachable
from tandemkit.registry.redis_backend import RedisRegistry
from tandemkit.registry.redis_connection import RedisSettings
from tandemkit.testing.parts_consul import Identity, consul_identities
from tandemkit.testing.parts_storage import redis_server
from tandemkit.testing.relay import relay_to


async def test_a_password_is_read_from_its_file_at_each_connect(tmp_path: Path) -> None:
    """A wrong password is an unreachable server; a corrected file needs no restart."""
    path = tmp_path / "password"
    path.write_text("another")
    async with redis_server() as server:
        async with Redis(unix_socket_path=str(server.socket)) as redis:
            await redis.config_set("requirepass", "a secret")
        settings = RedisSettings(socket=server.socket, password_path=path, answer_within_s=1.0)
        registry = RedisRegistry(settings)
        try:
            with pytest.raises(Unreachable):
                await registry.put("policy", b"one")
            path.write_text("a secret\n")
            assert await registry.put("policy", b"one") > 0
        finally:
            await registry.aclose()


async def test_only_the_right_certificates_connect(tmp_path: Path) -> None:
    """Client and server show certificates of one CA; any other, or none, is unreachable."""
    ours = await consul_identities(_made(tmp_path / "ours"))
    theirs = await consul_identities(_made(tmp_path / "theirs"))
    us, other = ours["client"], theirs["client"]
    async with redis_server() as server:
        connect = partial(asyncio.open_unix_connection, server.socket)
        async with relay_to(connect, _mutual(ours["server"])) as (_, port):
            right = RedisSettings(
                port=port,
                ca_path=us.ca_path,
                certificate_path=us.certificate_path,
                key_path=us.key_path,
                answer_within_s=1.0,
            )
            await _write(right)
            for wrong in (
                replace(right, ca_path=other.ca_path),
                replace(right, ca_path=None),
                replace(right, certificate_path=None, key_path=None),
                replace(right, certificate_path=other.certificate_path, key_path=other.key_path),
            ):
                with pytest.raises(Unreachable):
                    await _write(wrong)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _mutual(identity: Identity) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(identity.ca_path))
    context.load_cert_chain(identity.certificate_path, identity.key_path)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def _write(settings: RedisSettings) -> None:
    registry = RedisRegistry(settings)
    try:
        assert await registry.put("policy", b"one") > 0
    finally:
        await registry.aclose()
