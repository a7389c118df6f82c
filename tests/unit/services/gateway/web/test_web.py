"""What is read of sites, and what of them is never asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.gateway.web.agent import AGENT
from tandem.gateway.config.v1 import web_pb2 as cfg
from tandem.gateway.v1 import web_service_pb2 as pb
from tandem.gateway.v1 import web_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import Failure, failure_of
from tests.unit.services.gateway.web.sites import Site, site


@pytest.fixture
async def local() -> AsyncIterator[Site]:
    async with site() as it:
        yield it


@pytest.fixture
async def web(local: Site, tmp_path: Path) -> AsyncIterator[Any]:
    """An agent that may read the site, and its address."""
    settings = cfg.WebSettings(
        sites=[f"localhost:{local.port}"], networks=["127.0.0.1/32"], file_bytes_max=1_000_000
    )
    async with serving(AGENT, settings=settings, state_dir=tmp_path) as channel:
        yield rpc.WebServiceStub(channel)


async def refusal(wanted: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await wanted
    return failure_of(raised.value)


async def test_m181_a_page_is_told_as_a_reader_sees_it(web: Any, local: Site) -> None:
    """Its text without what is around it, its links, and its forms."""
    told = await web.ReadPage(pb.ReadPageRequest(url=f"{local.url}/article#part", links_max=10))
    page = told.page
    assert (page.title, page.language, page.status) == ("Der Reiher", "de", 200)
    assert "Er steht im Wasser & wartet." in page.text
    assert "Navigation" not in page.text
    links = [(one.url, one.text) for one in page.links]
    assert links == [(f"{local.url}/elsewhere", "Navigation"), (f"{local.url}/fish", "Fische")]
    ask, find = page.forms
    assert (ask.name, ask.url, ask.posts) == ("ask", f"{local.url}/asked", True)
    kinds = {one.name: (one.kind, list(one.values), list(one.options)) for one in ask.fields}
    assert kinds == {
        "word": ("text", [""], []),
        "csrf": ("hidden", ["7f"], []),
        "exact": ("checkbox", [], ["yes"]),
        "kind": ("select", ["f"], ["bird", "f"]),
        "note": ("textarea", ["hello"], []),
        "go": ("submit", ["1"], ["1"]),
    }
    assert (ask.fields[0].label, ask.fields[0].required) == ("Wort", True)
    assert (find.url, find.posts) == (f"{local.url}/found", False)


async def test_m181_a_form_is_sent_as_a_browser_sends_it(web: Any, local: Site) -> None:
    """With its hidden fields, what was chosen, its button, and the cookie of its page."""
    values = [
        pb.WebFieldValue(name="word", values=["Käse & Brot"]),
        pb.WebFieldValue(name="exact", values=["yes"]),
    ]
    asked = pb.SubmitFormRequest(url=f"{local.url}/article", form=0, values=values)
    told = await web.SubmitForm(asked)
    said = "word=Käse & Brot csrf=7f exact=yes kind=f note=hello go=1 cookie=one"
    assert told.page.text == said
    asked = pb.SubmitFormRequest(url=f"{local.url}/article", form=1)
    assert (await web.SubmitForm(asked)).page.text == "found q=heron"
    assert local.asked[-1] == "GET /found?q=heron"


async def test_what_a_form_does_not_take_is_not_sent(web: Any, local: Site) -> None:
    """A field that it does not have, a choice that it does not give, a form that is not there."""
    url = f"{local.url}/article"
    for name, value in (("colour", "red"), ("kind", "stone"), ("upload", "x")):
        values = [pb.WebFieldValue(name=name, values=[value])]
        found = await refusal(web.SubmitForm(pb.SubmitFormRequest(url=url, values=values)))
        assert (found.reason, found.metadata["at"]) == ("FIELD_INVALID", name)
    found = await refusal(web.SubmitForm(pb.SubmitFormRequest(url=url, form=2)))
    assert (found.reason, found.metadata["forms"]) == ("FORM_UNKNOWN", "2")
    assert set(local.asked) == {"GET /article"}


async def test_a_form_that_goes_nowhere_leaves_the_page_readable(web: Any, local: Site) -> None:
    """It is told as it stands; who sends it hears what is wrong with its address."""
    url = f"{local.url}/broken"
    page = (await web.ReadPage(pb.ReadPageRequest(url=url))).page
    assert "Some words." in page.text
    found = await refusal(web.SubmitForm(pb.SubmitFormRequest(url=url)))
    assert found.reason == "URL_INVALID"


async def test_m181_what_a_page_redirects_to_is_allowed_anew(web: Any, local: Site) -> None:
    """Another site, another port, another address of this machine, and what is no web."""
    read = web.ReadPage
    on = f"{local.url}/to?url="
    page = (await read(pb.ReadPageRequest(url=f"{on}/article"))).page
    assert (page.title, list(page.redirects)) == ("Der Reiher", [f"{on}/article"])
    for target, reason in (
        ("http://example.org/", "SITE_NOT_ALLOWED"),
        ("http://localhost:1/", "SITE_NOT_ALLOWED"),
        (f"http://127.0.0.1:{local.port}/article", "SITE_NOT_ALLOWED"),
        ("http://169.254.169.254/latest/meta-data", "SITE_NOT_ALLOWED"),
        ("file:///etc/passwd", "URL_INVALID"),
        ("//user:pass@localhost/", "URL_INVALID"),
        ("http://[", "URL_INVALID"),
    ):
        found = await refusal(read(pb.ReadPageRequest(url=on + target)))
        assert found.reason == reason, target
    found = await refusal(read(pb.ReadPageRequest(url=f"{local.url}/round")))
    assert found.reason == "REDIRECTS_TOO_MANY"
    assert local.asked.count("GET /round") == 6


async def test_what_is_too_large_is_not_unpacked_whole(web: Any, local: Site) -> None:
    """64 MiB that are 64 KiB on their way."""
    found = await refusal(web.FetchFile(pb.FetchFileRequest(url=f"{local.url}/bomb")))
    assert (found.reason, found.metadata["bytes_max"]) == ("FILE_TOO_LARGE", "1000000")


async def test_a_file_is_told_as_it_is(web: Any, local: Site) -> None:
    """With its media type, and what is no text is no page."""
    told = await web.FetchFile(pb.FetchFileRequest(url=f"{local.url}/picture"))
    assert (told.content, told.media_type, told.status) == (b"\x89PNG\r\n", "image/png", 200)
    found = await refusal(web.ReadPage(pb.ReadPageRequest(url=f"{local.url}/picture")))
    assert (found.reason, found.metadata["media_type"]) == ("PAGE_UNREADABLE", "image/png")
    page = (await web.ReadPage(pb.ReadPageRequest(url=f"{local.url}/latin"))).page
    assert page.text == "Käse"
    page = (await web.ReadPage(pb.ReadPageRequest(url=f"{local.url}/absent"))).page
    assert page.status == 404


async def test_a_site_that_breaks_off_is_unreachable(web: Any, local: Site) -> None:
    """And may be asked again."""
    found = await refusal(web.ReadPage(pb.ReadPageRequest(url=f"{local.url}/never")))
    assert (found.reason, found.code) == ("SITE_UNREACHABLE", grpc.StatusCode.UNAVAILABLE)
    assert found.retry_after_s is not None


async def test_without_settings_nothing_may_be_read(local: Site, tmp_path: Path) -> None:
    """The refusal says where to allow it."""
    async with serving(AGENT, state_dir=tmp_path) as channel:
        stub: Any = rpc.WebServiceStub(channel)
        found = await refusal(stub.ReadPage(pb.ReadPageRequest(url=f"{local.url}/article")))
        assert found.reason == "SITE_NOT_ALLOWED"
        assert "`sites` of gateway-web" in found.message
        assert not (await stub.ListAllowedSites(pb.ListAllowedSitesRequest())).sites
    assert not local.asked
