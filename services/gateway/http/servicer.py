"""Where the gateway is and what is there. Contract: tandem.gateway.v1.HttpService."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import grpc

from services.gateway.http import rest
from services.gateway.http.denied import Denied
from services.gateway.http.directory import Directory, Service
from services.gateway.http.face import Face
from tandem.gateway.v1 import errors_pb2 as errors
from tandem.gateway.v1 import http_service_pb2 as pb
from tandem.gateway.v1 import http_service_pb2_grpc as rpc
from tandemkit.core.errors import CallerError
from tandemkit.rpc.context import Context
from tandemkit.rpc.contract import Method
from tandemkit.rpc.failure import Refusal, Refused
from tandemkit.rpc.paging import TokenInvalid, page_of

_PAGE, _PAGE_MAX = 100, 1000
_SCOPE: Final = "routes"


class Gateway(rpc.HttpServiceServicer):
    def __init__(self, url: str, faces: Sequence[Face], directory: Directory) -> None:
        self._url, self._directory = url, directory
        self._faces = sorted(faces, key=lambda face: face.path)

    async def DescribeGateway(
        self, _request: pb.DescribeGatewayRequest, _context: Context
    ) -> pb.DescribeGatewayResponse:
        faces = [pb.HttpFace(path=one.path, summary=one.summary) for one in self._faces]
        return pb.DescribeGatewayResponse(url=self._url, faces=faces)

    async def ListRoutes(
        self, request: pb.ListRoutesRequest, _context: Context
    ) -> pb.ListRoutesResponse:
        routes = await self._routes(request.agent)
        size = min(request.page_size or _PAGE, _PAGE_MAX)
        scope = f"{_SCOPE} {request.agent}"
        try:
            page = page_of(sorted(routes), scope=scope, token=request.page_token, size=size)
        except TokenInvalid as error:
            reason = errors.ERROR_REASON_PAGE_TOKEN_INVALID
            message = "the page token belongs to no page of this listing"
            raise CallerError(reason, message, field="page_token") from error
        found = [routes[name] for name in page.names]
        return pb.ListRoutesResponse(routes=found, next_page_token=page.next_token)

    async def _routes(self, agent: str) -> dict[str, pb.HttpRoute]:
        try:
            if agent:
                services: Sequence[Service] = [await self._directory.service(agent)]
            else:
                services = await self._directory.services()
        except Denied as error:
            raise Refused(_refusal(error)) from error
        return {
            method.path: _route(service, method)
            for service in services
            for method in service.methods.values()
        }


def _route(service: Service, method: Method) -> pb.HttpRoute:
    return pb.HttpRoute(
        method=method.path,
        asked=rest.asked(service, method),
        is_streamed=method.server_streaming,
        takes_stream=method.client_streaming,
        is_read=method.reads,
    )


def _refusal(said: Denied) -> Refusal:
    return Refusal(
        grpc.StatusCode[said.code],
        said.message,
        said.reason,
        said.domain,
        dict(said.metadata),
        retry_after_s=said.retry_after_s,
    )
