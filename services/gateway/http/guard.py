"""What stands before every face: who may ask at all. docs/design/gateway.md says whom it keeps
out.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from services.gateway.http import repeated
from services.gateway.http.asking import Asked
from services.gateway.http.denied import Denied, denied
from services.gateway.http.face import Face, problem
from services.gateway.http.front import Front
from services.gateway.http.measures import Measures
from services.gateway.http.origins import Origins
from tandem.gateway.v1 import errors_pb2 as errors
from tandemkit.core import log

_LOGGER = logging.getLogger("services.gateway")
_HOST: Final = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?")
_PATH_CHARS_MAX: Final = 200
_NO_PATH: Final = (
    "no face of the gateway has the path; methods are at /api/AGENT/METHOD, and /docs lists them"
)
_OWN_REASONS: Final = errors.DESCRIPTOR.package
# A face may say otherwise of its pages.
_HEADERS: Final = (
    (hdrs.CACHE_CONTROL, "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)
_ONLY_SECURE: Final = ("Strict-Transport-Security", "max-age=31536000")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Terms:
    """Whom the gateway answers: `names` may stand in `Host` besides the loopback's."""

    names: Collection[str]
    origins: Origins


class Guard:
    def __init__(self, front: Front, faces: Sequence[Face], terms: Terms) -> None:
        self._front, self._faces, self._terms = front, faces, terms
        self.measures = Measures()
        self._names = {"localhost", *(name.lower() for name in terms.names if name)}
        self._open = frozenset[str]().union(*(face.open_paths for face in faces))
        # Browsers and clients repeat themselves.
        self._own_hosts: set[str] = set()

    async def pass_on(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The answer of a face. Raises Denied."""
        if (answer := self._check(request)) is not None:
            return answer
        if request.path in self._open:
            return await self._routed(request, handler)
        asked = await self._admitted(request)
        with self._front.held(asked):
            return await self._routed(request, handler)

    def refuse(self, request: web.BaseRequest, said: Denied) -> web.Response:
        """Says it as the face does whose path it is."""
        path = request.path
        if said.domain == _OWN_REASONS or said.http_status == HTTPStatus.UNAUTHORIZED:
            # What an agent refuses its own host logs.
            log.event(
                _LOGGER,
                logging.INFO,
                "http.refused",
                path=path[:_PATH_CHARS_MAX],
                status=said.http_status,
                reason=said.reason,
                peer=str(request.remote),
            )
        face = self._face(path)
        response = face.says(request, said) if face else problem(request, said)
        if not request.content.is_eof():
            # What it still sends is nobody's to read.
            response.force_close()
        return response

    async def sign(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """What every answer carries."""
        headers = response.headers
        headers[hdrs.SERVER] = "tandem"
        for name, value in _HEADERS:
            if name not in headers:
                headers[name] = value
        if request.secure:
            headers[_ONLY_SECURE[0]] = _ONLY_SECURE[1]
        self._terms.origins.mark(request, response)
        face = self._face(request.path)
        self.measures.answers[face.path if face else "", response.status] += 1

    def _face(self, path: str) -> Face | None:
        return next((face for face in self._faces if face.has(path)), None)

    async def _routed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
            for face in self._faces:
                if face.elsewhere is not None and (found := await face.elsewhere(request)):
                    return found
            raise _unrouted(error) from error
        except web.HTTPException as error:
            raise _unrouted(error) from error

    def _check(self, request: web.Request) -> web.Response | None:
        """The answer to a browser that asks whether its page may; else None. Raises Denied."""
        repeated.check(request.headers)
        if not self._is_own(request.headers.get(hdrs.HOST, "")):
            message = "the header `Host` is no name of this gateway; its settings may add one"
            raise denied(errors.ERROR_REASON_HOST_REFUSED, message)
        terms = self._terms
        terms.origins.check(request)
        if request.path in self._open:
            return None
        return terms.origins.preflight(request)

    async def _admitted(self, request: web.Request) -> Asked:
        """By what it shows, or to what is public. Raises Denied."""
        try:
            asked = self._front.asked(request)
        except Denied as error:
            face = self._face(request.path)
            is_public = face and face.is_public
            if error.code != "UNAUTHENTICATED" or not (is_public and await is_public(request)):
                raise
            return self._front.admit(request)
        self._front.count(asked)
        return asked

    def _is_own(self, host: str) -> bool:
        if host in self._own_hosts:
            return True
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = found["six"] or found["name"]
        try:
            own = name in self._names or ipaddress.ip_address(name).is_loopback
        except ValueError:  # a name, of somebody else
            return False
        if own and len(self._own_hosts) < _PATH_CHARS_MAX:
            self._own_hosts.add(host)
        return own


def _unrouted(error: web.HTTPException) -> Denied:
    """What aiohttp itself says of a path or of its method."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        message = "the path is not asked with this HTTP method"
        reason = errors.ERROR_REASON_VERB_NOT_ALLOWED
        return denied(reason, message, headers=((hdrs.ALLOW, allowed),), allowed=allowed)
    if isinstance(error, web.HTTPNotFound):
        return denied(errors.ERROR_REASON_PATH_UNKNOWN, _NO_PATH)
    return denied(errors.ERROR_REASON_HTTP_INVALID, "the request cannot be understood")
