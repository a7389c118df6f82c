"""`GET /openapi.json`: what there is to ask, for programs; `/docs` shows the same to people."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from services.gateway.http.denied import denied
from services.gateway.http.directory import Service
from services.gateway.http.face import Face
from services.gateway.http.front import Front
from services.gateway.http.openapi.document import Writer
from tandem.gateway.v1 import errors_pb2 as errors
from tandemkit.core.environment import Environment
from tandemkit.written.contract_comments import image_of
from tandemkit.written.json_schema.forms import Form

PATH: Final = "/openapi.json"
# For validators: every spelling of a request that is read. Else the one that is best to send.
_FORMS: Final = {"": Form.PREFERRED, "preferred": Form.PREFERRED, "accepted": Form.ACCEPTED}


def face(front: Front) -> Face:
    summary = "OpenAPI 3.1 of `/api/`, from the contracts and their comments."
    return Face(PATH, summary, (web.get(PATH, _Documents(front).get),))


@dataclass(frozen=True)
class _Document:
    services: tuple[Service, ...]
    body: bytes
    packed: bytes
    tag: str


class _Documents:
    """Each form written once for the same contracts, and by one at a time."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._written: dict[Form, _Document] = {}
        self._turn = asyncio.Lock()

    async def get(self, request: web.Request) -> web.Response:
        form = _FORMS.get(request.query.get("form", ""))
        if form is None:
            message = "the document has the forms preferred and accepted"
            raise denied(errors.ERROR_REASON_HTTP_INVALID, message, form=request.query["form"][:64])
        found = await self._document(form)
        headers = {
            hdrs.ETAG: found.tag,
            hdrs.CACHE_CONTROL: "no-cache",
            hdrs.VARY: "accept-encoding",
        }
        if request.headers.get(hdrs.IF_NONE_MATCH) in {found.tag, f"W/{found.tag}"}:
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        body = found.body
        if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            body, headers[hdrs.CONTENT_ENCODING] = found.packed, "gzip"
        return web.Response(body=body, headers=headers, content_type="application/json")

    async def _document(self, form: Form) -> _Document:
        services = await self._front.directory.services()
        async with self._turn:
            found = self._written.get(form)
            if found is None or found.services != services:
                # Half a second of work, of which nobody else should notice.
                found = await asyncio.to_thread(_write, services, form)
                self._written[form] = found
        return found


def _write(services: tuple[Service, ...], form: Form) -> _Document:
    value = Writer(image_of(Environment.read())).document(services, form)
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return _Document(services, body, gzip.compress(body, 6, mtime=0), tag)
