"""What stands before every face: who may ask at all. docs/design/gateway.md says whom it keeps
out.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

from aiohttp import hdrs, web

from services.gateway.http.denied import Denied, denied
from services.gateway.http.face import Face, Says, problem
from services.gateway.http.front import Front
from tandem.gateway.v1 import errors_pb2 as errors
from tandemkit.core import log

_LOGGER = logging.getLogger("services.gateway")
_HOST: Final = re.compile(
    r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?P<port>:[0-9]{1,5})?"
)
_PATH_CHARS_MAX: Final = 200
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guard:
    """`names` are those that may stand in `Host` besides the loopback's; pages of `origins` may
    ask, and those that this gateway shows itself.
    """

    def __init__(self, front: Front, faces: Sequence[Face], names: Collection[str]) -> None:
        self._front, self._faces = front, faces
        self._names = {"localhost", *(name.lower() for name in names if name)}
        self._open = frozenset().union(*(face.open_paths for face in faces))

    async def pass_on(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The answer of a face, or why there is none in the face's own form."""
        try:
            self._check(request)
            return await handler(request)
        except Denied as error:
            said = error
        except web.HTTPException as error:
            said = _unrouted(error)
        log.event(
            _LOGGER,
            logging.INFO,
            "http.refused",
            path=request.path[:_PATH_CHARS_MAX],
            status=said.http_status,
            reason=said.reason,
            peer=str(request.remote),
        )
        return self._says(request.path)(request, said)

    def _check(self, request: web.Request) -> None:
        if not self._is_own(request.headers.get(hdrs.HOST, "")):
            message = "the header `Host` is no name of this gateway; its settings may add one"
            raise denied(errors.ERROR_REASON_HOST_REFUSED, message)
        if request.path not in self._open:
            self._front.asked(request)

    def _says(self, path: str) -> Says:
        return next((face.says for face in self._faces if face.has(path)), problem)

    def _is_own(self, host: str) -> bool:
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = found["six"] or found["name"]
        try:
            return name in self._names or ipaddress.ip_address(name).is_loopback
        except ValueError:  # a name, of somebody else
            return False


def _unrouted(error: web.HTTPException) -> Denied:
    """What aiohttp itself says of a path or of its method."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        message = "the path is not asked with this HTTP method"
        return denied(
            errors.ERROR_REASON_VERB_NOT_ALLOWED,
            message,
            headers=((hdrs.ALLOW, allowed),),
            allowed=allowed,
        )
    if isinstance(error, web.HTTPNotFound):
        return denied(errors.ERROR_REASON_PATH_UNKNOWN, "no face of the gateway has the path")
    return denied(errors.ERROR_REASON_HTTP_INVALID, "the request cannot be understood")
