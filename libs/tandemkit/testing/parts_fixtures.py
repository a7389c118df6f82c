"""Pytest fixtures for the real parts; each is there for one test and gone after it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tandemkit.testing import parts_network, parts_storage


@pytest.fixture
async def redis() -> AsyncIterator[parts_storage.RedisServer]:
    async with parts_storage.redis_server() as server:
        yield server


@pytest.fixture
async def postgres() -> AsyncIterator[parts_storage.PostgresServer]:
    async with parts_storage.postgres_server() as server:
        yield server


@pytest.fixture
async def nats() -> AsyncIterator[parts_storage.NatsServer]:
    async with parts_storage.nats_server() as server:
        yield server


@pytest.fixture
async def envoy() -> AsyncIterator[parts_network.HttpServer]:
    async with parts_network.envoy_server() as server:
        yield server


@pytest.fixture
async def consul() -> AsyncIterator[parts_network.HttpServer]:
    async with parts_network.consul_agent() as server:
        yield server


@pytest.fixture
async def prometheus() -> AsyncIterator[parts_network.HttpServer]:
    async with parts_network.prometheus_server() as server:
        yield server


@pytest.fixture
async def rabbitmq() -> AsyncIterator[parts_network.RabbitmqServer]:
    async with parts_network.rabbitmq_server() as server:
        yield server
