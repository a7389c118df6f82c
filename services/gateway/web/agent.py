"""The web, for agents. Contract: tandem.gateway.v1.WebService."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.gateway.web.fetching import Bounds
from services.gateway.web.page import PATH, Page
from services.gateway.web.servicer import Web
from services.gateway.web.sites import Sites
from tandem.gateway.config.v1 import web_pb2 as cfg
from tandem.gateway.v1 import web_service_pb2 as pb
from tandemkit.core.errors import Failure
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope


class NetworkRefused(Failure):
    """The settings name a network that is none."""


@asynccontextmanager
async def build(scope: Scope, settings: cfg.WebSettings) -> AsyncIterator[Web]:
    bounds = _bounds(settings)
    scope.show(PATH, Page(bounds.sites).page)
    yield Web(bounds)


def _bounds(settings: cfg.WebSettings) -> Bounds:
    try:
        networks = tuple(ipaddress.ip_network(one) for one in settings.networks)
    except ValueError as error:
        raise NetworkRefused(f"networks of gateway-web: {error}") from error
    told = {
        name: value
        for name in ("file_bytes_max", "redirects_max")
        if (value := getattr(settings, name))
    }
    return Bounds(Sites(settings.sites), networks, **told)


AGENT = Agent(contract=pb.DESCRIPTOR, settings=cfg.WebSettings, build=build)
main = AGENT.main
