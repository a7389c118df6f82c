"""The flags' agent next to its registry, as callers see it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from services.control.registry.agent import AGENT as REGISTRY
from services.platform.event_store import AGENT as EVENT_STORE
from services.platform.feature_flag.agent import AGENT
from tandem.platform.v1 import config_value_pb2 as config
from tandem.platform.v1 import feature_flag_pb2 as nouns
from tandem.platform.v1 import feature_flag_service_pb2 as pb
from tandem.platform.v1 import feature_flag_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.core.token import Token
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.http_port import address_of, listening
from tandemkit.testing.tokens import shown

NOTE = config.ConfigNote(author="ana", reason="trying")
KEY = "answers.cite"


def boolean(key: str = KEY, *rules: nouns.FlagRule, **more: Any) -> nouns.Flag:
    """Off for everybody whom no rule gives `on`."""
    flag = nouns.Flag(
        key=key,
        kind=nouns.FLAG_KIND_BOOLEAN,
        purpose="For a test.",
        owner="ana",
        variants=[
            nouns.FlagVariant(name="on", value=nouns.FlagValue(boolean=True)),
            nouns.FlagVariant(name="off", value=nouns.FlagValue(boolean=False)),
        ],
        default_variant="off",
        enabled=True,
        rules=rules,
    )
    flag.end_time.FromJsonString("2027-01-01T00:00:00Z")
    flag.MergeFrom(nouns.Flag(**more))
    return flag


@dataclass(frozen=True, slots=True)
class Caller:
    """Asks as a person would; `http` is where the host answers over HTTP."""

    stub: rpc.FeatureFlagServiceAsyncStub
    channel: grpc.aio.Channel
    http: socket.socket
    token: Token

    @property
    def url(self) -> str:
        return f"http://{address_of(self.http)}"

    async def put(self, flag: nouns.Flag, expected: int | None = None) -> int:
        request = pb.PutFlagRequest(flag=flag, note=NOTE, expected_version=expected)
        return (await self.stub.PutFlag(request)).version

    async def switch(self, key: str, *, enabled: bool) -> int:
        request = pb.SwitchFlagRequest(key=key, enabled=enabled, note=NOTE)
        return (await self.stub.SwitchFlag(request)).version

    async def undo(self, version: int, *, force: bool = False) -> int:
        request = pb.UndoFlagChangeRequest(version=version, note=NOTE, force=force)
        return (await self.stub.UndoFlagChange(request)).version

    async def variant(self, key: str, who: str = "", **about: str) -> str:
        context = nouns.FlagContext(targeting_key=who)
        for name, text in about.items():
            context.attributes.add(name=name, text=text)
        request = pb.ResolveFlagRequest(key=key, context=context)
        return (await self.stub.ResolveFlag(request)).resolution.variant

    async def keys(self, **asked: Any) -> list[str]:
        return [one.key for one in (await self.stub.ListFlags(pb.ListFlagsRequest(**asked))).flags]


@asynccontextmanager
async def flags_agent(folder: Path, address: str) -> AsyncIterator[Caller]:
    """The same folder again is a restart."""
    placed = [
        Placed(one, one.settings() if one.settings else None)
        for one in (AGENT, REGISTRY, EVENT_STORE)
    ]
    held, token = listening("127.0.0.1:0"), Token.kept(folder / "token")
    place = Place(address, folder, SystemClock(), 0.0, http=held, token=token)
    async with hosting(placed, place), shown(address, token) as channel:
        yield Caller(rpc.FeatureFlagServiceStub(channel), channel, held, token)
