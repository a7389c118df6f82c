"""The fleet over HTTP. Contract: tandem.gateway.v1.HttpService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from inference import grpc_inference_service_pb2 as inference
from services.gateway.http import health, listening, rest
from services.gateway.http.door import CONNECTIONS, Bounds
from services.gateway.http.face import Face
from services.gateway.http.front import Front
from services.gateway.http.guard import Guard, Terms
from services.gateway.http.kserve import face as kserve
from services.gateway.http.mcp import face as mcp
from services.gateway.http.openai import routes as openai
from services.gateway.http.openapi import face as openapi
from services.gateway.http.openapi import page
from services.gateway.http.origins import Origins
from services.gateway.http.rates import Rates
from services.gateway.http.servicer import Gateway
from services.gateway.http.serving import serving
from tandem.gateway.config.v1 import http_pb2 as cfg
from tandem.gateway.v1 import http_service_pb2 as pb
from tandem.language.v1 import request_coordinator_service_pb2 as answering
from tandem.memory.v1 import embedding_service_pb2 as embedding
from tandem.models.v1 import model_service_pb2 as models
from tandemkit.core.clock import Clock
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.scope import Scope
from tandemkit.supervise.errands import Errands

_BODY_BYTES: Final = 8 * 1024 * 1024


@asynccontextmanager
async def build(scope: Scope, settings: cfg.HttpSettings) -> AsyncIterator[Gateway]:
    front = Front(scope.relay(), scope.clock, Rates(settings, scope.clock))
    errands = Errands()
    faces = _faces(front, scope.clock, errands, settings)
    tls = listening.tls(settings)
    async with AsyncExitStack() as stack:
        held = stack.enter_context(listening.held(settings.address, scope.state_dir))
        address = listening.address_of(held)
        names = (*settings.names, address.rpartition(":")[0].strip("[]"))
        terms = Terms(names, Origins(settings.origins))
        guard = Guard(front, faces, terms)
        stack.push_async_callback(errands.end, 0)
        connections_max = settings.connections_max or CONNECTIONS
        bounds = Bounds(connections_max, settings.connections_per_address_max, tls)
        await stack.enter_async_context(serving(held, faces, guard, bounds, front.drain))
        scope.measure(guard.measures.families)
        url = f"{'https' if tls else 'http'}://{address}"
        listening.note(scope.state_dir, url)
        yield Gateway(url, faces, front.directory)


def _faces(
    front: Front, clock: Clock, errands: Errands, settings: cfg.HttpSettings
) -> tuple[Face, ...]:
    """All that the gateway has."""
    body_bytes_max = settings.body_bytes_max or _BODY_BYTES
    return (
        health.face(),
        rest.face(front, body_bytes_max),
        openai.face(front, body_bytes_max),
        kserve.face(front, body_bytes_max),
        mcp.face(front, clock, errands, body_bytes_max),
        openapi.face(front),
        page.face(),
    )


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    settings=cfg.HttpSettings,
    calls_any=True,
    soft_calls=(
        answering.DESCRIPTOR,
        embedding.DESCRIPTOR,
        inference.DESCRIPTOR,
        models.DESCRIPTOR,
    ),
    build=build,
)
main = AGENT.main
