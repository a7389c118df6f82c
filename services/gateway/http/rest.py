"""Every method of every agent as HTTP and JSON: `POST /api/AGENT/METHOD`."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import Message

from services.gateway.http import body
from services.gateway.http.denied import denied
from services.gateway.http.directory import Service
from services.gateway.http.face import Face
from services.gateway.http.front import Front
from tandem.gateway.v1 import errors_pb2 as errors
from tandemkit.rpc.contract import Method

PATH: Final = "/api/"


def face(front: Front, body_bytes_max: int) -> Face:
    rest = _Rest(front, body_bytes_max)
    path = f"{PATH}{{agent}}/{{method}}"
    summary = "Every method of every agent as JSON; streams as server-sent events."
    return Face(PATH, summary, (web.post(path, rest.post),))


class _Rest:
    def __init__(self, front: Front, body_bytes_max: int) -> None:
        self._front, self._body_bytes_max = front, body_bytes_max

    async def post(self, request: web.Request) -> web.StreamResponse:
        match = request.match_info
        method = await self._front.directory.method(match["agent"], match["method"])
        asked = self._front.asked(request)
        message = parsed(method, await body.read(request, self._body_bytes_max))
        response = await self._front.call(asked, method, message)
        return web.Response(body=written(response), content_type="application/json")


def parsed(method: Method, content: bytes) -> Message:
    """A request of the method. Raises Denied."""
    message = method.request()
    try:
        text = content.decode()
        json_format.Parse(text or "{}", message)
    except (UnicodeDecodeError, json_format.ParseError) as error:
        reason = errors.ERROR_REASON_JSON_INVALID
        raise denied(reason, "the body is not the JSON of the request", why=str(error)) from error
    return message


def written(message: Message) -> bytes:
    return json_format.MessageToJson(message, indent=None).encode()


def asked(service: Service, method: Method) -> list[str]:
    """The ways to ask for it, the first by POST."""
    path = f"{PATH}{service.short}/{method.name}"
    return [f"POST {path}"]
