"""A Redis that asks who calls: passwords and certificates, both from files."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
import pytest
from redis.asyncio import Redis

from services.control.registry.agent import AGENT
from tandem.control.config.v1 import registry_pb2 as cfg
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.reach.server import Patience, TlsFiles
from tandemkit.registry.redis_backend import RedisRegistry
from tandemkit.registry.redis_keyspace import RedisSettings
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import failure_of
from tandemkit.testing.parts_consul import Identity, consul_identities
from tandemkit.testing.parts_storage import redis_server
from tandemkit.testing.relay import relay_to
from tests.contract.registry.redis_case import RedisCase, redis_case
from tests.contract.registry.suite import RefusalSuite

_SECRET = "a secret"
# What docs/design/registry.md says that a user of its own needs.
_RIGHTS = ("+@connection", "+@scripting", "+@read", "+@write", "+@fast")


class GuardedRedis(RedisCase):
    """Its clients log in as a user who may what we document; strangers do not log in."""

    async def open_stranger(self) -> RedisRegistry:
        return self.open_with(password_path=None)


class TestGuardedRedis(RefusalSuite):
    @pytest.fixture
    async def case(self, tmp_path: Path) -> AsyncIterator[GuardedRedis]:
        path = tmp_path / "password"
        path.write_text(f"{_SECRET}\n")
        async with redis_case() as whole:
            async with Redis(unix_socket_path=str(whole.server.socket)) as redis:
                await redis.acl_setuser(
                    "control",
                    enabled=True,
                    passwords=[f"+{_SECRET}"],
                    keys=["{tandem}*"],
                    categories=_RIGHTS,
                )
                await redis.acl_setuser("default", enabled=False)
            settings = replace(whole.settings, user="control", password_path=path)
            case = GuardedRedis(whole.server, whole.relay, settings)
            try:
                yield case
            finally:
                await case.close()


async def test_a_password_is_read_from_its_file_at_each_connect(tmp_path: Path) -> None:
    """A wrong password is refused by name; a corrected file needs no restart."""
    path = tmp_path / "password"
    path.write_text("another")
    async with redis_server() as server:
        async with Redis(unix_socket_path=str(server.socket)) as redis:
            await redis.config_set("requirepass", _SECRET)
        registry = RedisRegistry(RedisSettings(socket=server.socket, password_path=path))
        try:
            with pytest.raises(Refused, match="denied the login"):
                await registry.put("policy", b"one")
            path.write_text(f"{_SECRET}\n")
            assert await registry.put("policy", b"one") > 0
        finally:
            await registry.aclose()


async def test_the_agent_says_what_its_operator_has_to_do(tmp_path: Path) -> None:
    """Callers hear that control is refused and where to look, and nothing that Redis said."""
    async with redis_server() as server:
        async with Redis(unix_socket_path=str(server.socket)) as redis:
            await redis.config_set("requirepass", _SECRET)
        said = cfg.RegistrySettings(redis=cfg.RedisBackend(address=f"unix:{server.socket}"))
        async with serving(AGENT, settings=said, state_dir=tmp_path) as channel:
            stub = rpc.RegistryServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.GetValue(pb.GetValueRequest(key="policy"))
    failed = failure_of(raised.value)
    assert (failed.code, failed.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "BACKEND_REFUSED",
    )
    assert "token or password" in (raised.value.details() or "")
    assert "Authentication required" not in (raised.value.details() or "")


async def test_only_the_right_certificates_connect(tmp_path: Path) -> None:
    """A server of another CA is refused by name; who shows it a wrong certificate is hung up on."""
    ours = await consul_identities(_made(tmp_path / "ours"))
    theirs = await consul_identities(_made(tmp_path / "theirs"))
    us, other = ours["client"], theirs["client"]
    async with redis_server() as server:
        connect = partial(asyncio.open_unix_connection, server.socket)
        async with relay_to(connect, _mutual(ours["server"])) as (_, port):
            patience = Patience(answer_s=1.0)
            right = TlsFiles(us.ca_path, us.certificate_path, us.key_path)
            reached = RedisSettings(port=port, tls=right, patience=patience)
            await _write(reached)
            with pytest.raises(Refused, match="no trust"):
                await _write(replace(reached, tls=replace(right, ca_path=other.ca_path)))
            for wrong in (
                TlsFiles(),
                TlsFiles(us.ca_path),
                TlsFiles(us.ca_path, other.certificate_path, other.key_path),
            ):
                with pytest.raises(Unreachable):
                    await _write(replace(reached, tls=wrong))


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
