"""A gateway beside agents that answer as tests say."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tandem.gateway.config.v1 import http_pb2 as cfg
from tests.unit.services.gateway.http.gateways import ADDRESS, Gateway, gateway
from tests.unit.services.gateway.http.openai.scripted import Scripted


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
async def it(
    tmp_path_factory: pytest.TempPathFactory, scripted: Scripted
) -> AsyncIterator[Gateway]:
    folder = tmp_path_factory.mktemp("g")
    async with gateway(folder, *scripted.agents, settings=cfg.HttpSettings(address=ADDRESS)) as it:
        yield it
