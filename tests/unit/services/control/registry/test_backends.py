from __future__ import annotations

from pathlib import Path

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from services.control.registry import agent as registry
from services.control.registry.agent import AGENT
from tandem.control.config.v1 import registry_pb2 as cfg
from tandem.control.v1 import registry_service_pb2 as pb
from tandem.control.v1 import registry_service_pb2_grpc as rpc
from tandemkit.reach.server import TlsFiles
from tandemkit.registry.consul import ConsulSettings
from tandemkit.registry.redis_keyspace import RedisSettings
from tandemkit.registry.servers import consul_settings, redis_settings
from tandemkit.rpc import validation
from tandemkit.testing.agents import serving
from tandemkit.testing.imports import loaded_by
from tests.unit.services.control.registry.hosts import failure


def test_what_is_not_said_is_the_backends_default() -> None:
    """The defaults of the contract are those of the code."""
    assert consul_settings(cfg.ConsulBackend()) == ConsulSettings()
    assert redis_settings(cfg.RedisBackend()) == RedisSettings()


def test_a_backend_is_reached_as_the_settings_say() -> None:
    """Addresses, secrets and certificates arrive where they belong."""
    consul = cfg.ConsulBackend(
        address="https://consul:8501",
        token_file="/t",
        tls=cfg.TlsFiles(ca_file="/ca", certificate_file="/c", key_file="/k"),
        prefix="two",
    )
    assert consul_settings(consul) == ConsulSettings(
        url="https://consul:8501",
        token_path=Path("/t"),
        tls=TlsFiles(Path("/ca"), Path("/c"), Path("/k")),
        prefix="two",
    )
    redis = cfg.RedisBackend(address="cache:6380", password_file="/p", user="tandem")
    assert redis_settings(redis) == RedisSettings(
        host="cache", port=6380, user="tandem", password_path=Path("/p")
    )
    assert redis_settings(cfg.RedisBackend(address="unix:/run/redis")).socket == Path("/run/redis")


def test_settings_that_lead_nowhere_are_refused() -> None:
    """A mistake shows before anything starts."""
    wrong: list[Message] = [
        cfg.ConsulBackend(address="consul:8500"),
        cfg.ConsulBackend(token_file="token"),
        cfg.RedisBackend(address="cache"),
        cfg.RedisBackend(prefix="A B"),
        cfg.ConsulBackend(check_interval=Duration(nanos=1)),
        cfg.TlsFiles(ca_file="/ca", certificate_file="/c"),
        cfg.TlsFiles(certificate_file="/c", key_file="/k"),
    ]
    assert [len(validation.violations(one)) for one in wrong] == [1] * len(wrong)


async def test_a_backend_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    """Calls fail as such and say when to try again; the agent itself starts."""
    away = cfg.RegistrySettings(redis=cfg.RedisBackend(address=f"unix:{tmp_path}/nobody"))
    async with serving(AGENT, settings=away, state_dir=tmp_path) as channel:
        registry = rpc.RegistryServiceStub(channel)
        failed = await failure(registry.GetValue(pb.GetValueRequest(key="a")))
        assert (failed.code, failed.reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "BACKEND_UNREACHABLE",
        )
        assert failed.retry_after_s == 1.0


def test_a_control_without_a_server_has_none_of_their_clients() -> None:
    """17 MB of every laptop's control."""
    assert not loaded_by(registry) & {"aiohttp", "redis", "opentelemetry"}
