"""Messages to the web and back. Contract: tandem.gateway.v1.WebService."""

from __future__ import annotations

import asyncio

from services.gateway.web.fetching import Bounds, File, Sent, visit
from services.gateway.web.forms import filled
from services.gateway.web.reading import media_of, page_of
from tandem.gateway.v1 import errors_pb2 as errors
from tandem.gateway.v1 import web_page_pb2 as nouns
from tandem.gateway.v1 import web_service_pb2 as pb
from tandem.gateway.v1 import web_service_pb2_grpc as rpc
from tandemkit.core.errors import CallerError
from tandemkit.rpc.context import Context

_URLENCODED = "application/x-www-form-urlencoded"


class Web(rpc.WebServiceServicer):
    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds

    async def ReadPage(self, request: pb.ReadPageRequest, _context: Context) -> pb.ReadPageResponse:
        async with visit(self._bounds) as visiting:
            file = await visiting.fetch(request.url)
        page = await _read(file, request.text_chars_max, request.links_max)
        return pb.ReadPageResponse(page=page)

    async def FetchFile(
        self, request: pb.FetchFileRequest, _context: Context
    ) -> pb.FetchFileResponse:
        async with visit(self._bounds) as visiting:
            file = await visiting.fetch(request.url)
        return pb.FetchFileResponse(
            url=file.url,
            status=file.status,
            media_type=media_of(file)[0] if file.content_type else "",
            content=file.content,
            redirects=file.redirects,
        )

    async def SubmitForm(
        self, request: pb.SubmitFormRequest, _context: Context
    ) -> pb.SubmitFormResponse:
        async with visit(self._bounds) as visiting:
            forms = (await _read(await visiting.fetch(request.url))).forms
            if request.form >= len(forms):
                reason, message = errors.ERROR_REASON_FORM_UNKNOWN, "the page has no such form"
                raise CallerError(reason, message, field="form", forms=len(forms))
            form = filled(forms[request.form], {one.name: one.values for one in request.values})
            if form.posts:
                sent = Sent(form.query.encode(), _URLENCODED)
                file = await visiting.fetch(form.url, sent)
            else:
                file = await visiting.fetch(f"{form.url.partition('?')[0]}?{form.query}")
        return pb.SubmitFormResponse(page=await _read(file, request.text_chars_max))

    async def ListAllowedSites(
        self, _request: pb.ListAllowedSitesRequest, _context: Context
    ) -> pb.ListAllowedSitesResponse:
        return pb.ListAllowedSitesResponse(sites=self._bounds.sites.entries)


async def _read(file: File, text_chars_max: int = 0, links_max: int = 0) -> nouns.WebPage:
    """A large page takes its time, which is not the loop's."""
    return await asyncio.to_thread(page_of, file, text_chars_max, links_max)
