"""Pages of other origins: which of them may ask, by CORS."""

from __future__ import annotations

import re
from collections.abc import Collection
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from services.gateway.http.denied import denied
from tandem.gateway.v1 import errors_pb2 as errors

_VERBS: Final = "GET, POST, PUT, PATCH, DELETE"
_NAMES: Final = re.compile(r"[A-Za-z0-9_, -]{0,1024}")
_KEPT_S: Final = 600
_EXPOSED: Final = "Retry-After, WWW-Authenticate"


class Origins:
    """Those that the settings name, and the gateway's own, whose pages it shows itself."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(allowed)

    def check(self, request: web.Request) -> None:
        """Raises Denied. Its `Host` is one of the gateway's own."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or origin in self._allowed or origin == _own(request):
            return
        message = "pages of this origin may not ask; the settings of the gateway may name it"
        raise denied(errors.ERROR_REASON_ORIGIN_REFUSED, message)

    def preflight(self, request: web.Request) -> web.Response | None:
        """What a browser is told that asks before its page may; None for any other request."""
        if request.method != hdrs.METH_OPTIONS or not (
            request.headers.get(hdrs.ORIGIN)
            and request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_METHOD)
        ):
            return None
        headers: dict[str, str] = {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: _VERBS,
            hdrs.ACCESS_CONTROL_MAX_AGE: str(_KEPT_S),
        }
        names = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
        if names and _NAMES.fullmatch(names):
            headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = names
        if request.headers.get("Access-Control-Request-Private-Network") == "true":
            headers["Access-Control-Allow-Private-Network"] = "true"
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=headers)

    def mark(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Has the browser let the page read the answer."""
        if not self._allowed:
            return
        response.headers[hdrs.VARY] = hdrs.ORIGIN
        origin = request.headers.get(hdrs.ORIGIN)
        if origin in self._allowed:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED


def _own(request: web.Request) -> str:
    return f"{request.scheme}://{request.headers.get(hdrs.HOST, '')}"
