"""A gateway, and models in a process of their own, as the laptop has them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.gateway.http.agent import AGENT as GATEWAY
from services.gateway.http.listening import ADDRESS_FILE
from services.gateway.kserve.agent import AGENT as KSERVE
from services.models.model.agent import AGENT as MODELS
from tandemkit.hosting.agent import Agent
from tandemkit.testing.checkouts import write_checkout
from tandemkit.testing.model_servers import MODEL, ModelServer
from tandemkit.testing.parts import short_folder
from tests.cluster.fleets import SERVED, Checkout, Hosts

APART: Hosts = {name: [f"{name}-*"] for name in ("gateway", "models")}
MODEL_NAME = f"here/{MODEL}"


@dataclass(frozen=True)
class GatewayFleet:
    checkout: Checkout
    url: str
    token: str

    async def address(self, host: str) -> str:
        """Where that host answers gRPC."""
        told = await self.checkout.told("status")
        hosts = {one["host"]: one["address"] for each in told["machines"] for one in each["hosts"]}
        return str(hosts[host])


@asynccontextmanager
async def gateway_fleet(
    backend: ModelServer,
    *others: Agent,
    more: Mapping[str, object] | None = None,
    hosts: Hosts = APART,
) -> AsyncIterator[GatewayFleet]:
    """One that serves the models of `backend`; `more` are settings, by agent."""
    models = {"backends": [{"name": "here", "openai": {"base_url": f"{backend.address}/v1"}}]}
    settings = {GATEWAY.name: {"address": "127.0.0.1:0"}, MODELS.name: models, **(more or {})}
    with short_folder() as folder:
        write_checkout(folder, (*SERVED, GATEWAY, KSERVE, MODELS, *others), settings)
        checkout = Checkout(folder)
        checkout.give_hosts(hosts)
        async with checkout.serving():
            (address,) = checkout.home.folder.rglob(f"{GATEWAY.name}/{ADDRESS_FILE}")
            token = checkout.home.token.read_text().strip()
            yield GatewayFleet(checkout, address.read_text().strip(), token)
