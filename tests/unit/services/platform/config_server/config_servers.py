"""The agent next to its registry, as a caller sees both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.control.registry.agent import AGENT as REGISTRY
from services.platform.config_server.agent import AGENT
from tandem.platform.config.v1 import config_server_pb2 as cfg
from tandem.platform.v1 import config_server_service_pb2 as pb
from tandem.platform.v1 import config_server_service_pb2_grpc as rpc
from tandem.platform.v1 import config_value_pb2 as nouns
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import Failure, failure_of

NOTE = nouns.ConfigNote(author="ana", reason="trying")
SIZE, GREETING, PATIENCE = "gateway.size_max", "gateway.greeting", "gateway.patience"


def declaration(key: str, kind: str, default: str | None = None) -> cfg.ConfigDeclaration:
    value = nouns.ConfigKind.Value(f"CONFIG_KIND_{kind.upper()}")
    return cfg.ConfigDeclaration(key=key, kind=value, purpose="For a test.", default=default)


def layer(which: str, name: str, **values: str) -> cfg.ConfigSettings:
    value = nouns.ConfigLayer.Value(f"CONFIG_LAYER_{which.upper()}")
    said = [cfg.ConfigSetting(key=f"gateway.{key}", value=one) for key, one in values.items()]
    return cfg.ConfigSettings(layer=value, name=name, values=said)


DECLARED = (
    declaration(SIZE, "whole", "10"),
    declaration(GREETING, "text", "hello ${USER_NAME:-you}"),
    declaration(PATIENCE, "duration"),
)


def settings(*layers: cfg.ConfigSettings, **more: Any) -> cfg.ConfigServerSettings:
    inline = cfg.ConfigFile(declarations=DECLARED, settings=layers)
    return cfg.ConfigServerSettings(inline=inline, **more)


class Caller:
    """Asks as a person would."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub = rpc.ConfigServerServiceStub(channel)

    async def get(self, key: str, **target: str) -> nouns.ConfigEntry:
        request = pb.GetConfigValueRequest(key=key, target=nouns.ConfigTarget(**target))
        return (await self.stub.GetConfigValue(request)).entry

    async def explain(self, key: str, **target: str) -> pb.ExplainConfigValueResponse:
        request = pb.ExplainConfigValueRequest(key=key, target=nouns.ConfigTarget(**target))
        return await self.stub.ExplainConfigValue(request)

    async def set(
        self, key: str, value: nouns.ConfigValue, expected: int | None = None, **target: str
    ) -> int:
        request = pb.SetConfigValueRequest(
            key=key,
            value=value,
            target=nouns.ConfigTarget(**target),
            note=NOTE,
            expected_version=expected,
        )
        return (await self.stub.SetConfigValue(request)).version

    async def size(self, whole: int, **more: Any) -> int:
        return await self.set(SIZE, nouns.ConfigValue(whole=whole), **more)

    async def clear(self, key: str, **target: str) -> int:
        wanted = nouns.ConfigTarget(**target)
        request = pb.ClearConfigValueRequest(key=key, target=wanted, note=NOTE)
        return (await self.stub.ClearConfigValue(request)).version


@asynccontextmanager
async def config_server(
    folder: Path, said: cfg.ConfigServerSettings | None = None
) -> AsyncIterator[Caller]:
    """The same folder again is a restart."""
    chosen = settings() if said is None else said
    async with serving(AGENT, settings=chosen, beside=(REGISTRY,), state_dir=folder) as channel:
        yield Caller(channel)


@asynccontextmanager
async def config_server_at(address: str, folder: Path) -> AsyncIterator[Caller]:
    """The same, at an address that others find again after a restart."""
    placed = (Placed(AGENT, settings()), Placed(REGISTRY, _defaults(REGISTRY)))
    place = Place(address, folder, SystemClock(), 0.0)
    async with hosting(placed, place), grpc.aio.insecure_channel(address) as channel:
        yield Caller(channel)


def _defaults(agent: Any) -> Any:
    return agent.settings()


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


async def heard(told: AsyncIterator[pb.WatchConfigValuesResponse]) -> pb.WatchConfigValuesResponse:
    """The next message that says something."""
    async for one in told:
        if one.WhichOneof("event") is not None:
            return one
    raise AssertionError("the stream ended")
