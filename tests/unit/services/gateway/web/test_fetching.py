"""Addresses that only this machine can reach, however they are come by."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

import pytest

from services.gateway.web.addresses import Doorman
from services.gateway.web.fetching import Bounds, visit
from services.gateway.web.reading import page_of
from services.gateway.web.sites import Sites, parsed
from tandem.gateway.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError, TransientError
from tests.unit.services.gateway.web.sites import Names, site

_OURS = (ipaddress.ip_network("127.0.0.1/32"),)


async def fetched(url: str, bounds: Bounds, **names: list[str]) -> Any:
    async with visit(bounds, Names(**names)) as visiting:
        return await visiting.fetch(url)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.8.0.1", "169.254.169.254", "0.0.0.0", "::1", "::ffff:127.0.0.1", "fd00::1"],
)
async def test_m181_a_name_of_a_private_address_is_refused(address: str) -> None:
    """Whatever its server answers, nothing is connected to."""
    async with site() as local:
        bounds = Bounds(Sites([f"*:{local.port}"]))
        with pytest.raises(CallerError) as raised:
            await fetched(f"http://inside.example:{local.port}/article", bounds, inside=[address])
    assert raised.value.reason == errors.ERROR_REASON_ADDRESS_REFUSED
    assert not local.asked


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:7f00:1]"],
)
async def test_an_address_is_refused_in_any_spelling(host: str) -> None:
    """Also where the settings allow every site."""
    async with site() as local:
        bounds = Bounds(Sites([f"*:{local.port}"]))
        async with visit(bounds) as visiting:
            with pytest.raises((CallerError, TransientError)) as raised:
                await visiting.fetch(f"http://{host}:{local.port}/article")
    # Some are names to whoever resolves them, and then there is no such name.
    refused = {errors.ERROR_REASON_ADDRESS_REFUSED, errors.ERROR_REASON_SITE_UNREACHABLE}
    failure: Any = raised.value
    assert failure.reason in refused
    assert not local.asked


async def test_m181_a_private_address_behind_a_redirect_is_refused() -> None:
    """What was allowed for the first page says nothing about the next, nor about the next visit of
    the same name.
    """
    async with site() as local:
        bounds = Bounds(Sites([f"*:{local.port}"]), _OURS)
        url = f"http://turns.example:{local.port}"
        names = {"turns": ["127.0.0.1", "127.0.0.2"], "inside": ["10.0.0.1"]}
        for asked in (f"{url}/to?url=http://inside.example:{local.port}/", f"{url}/article"):
            with pytest.raises(CallerError) as raised:
                await fetched(asked, bounds, **names)
            assert raised.value.reason == errors.ERROR_REASON_ADDRESS_REFUSED
    assert len(local.asked) == 1


async def test_a_media_type_that_is_no_text_can_be_told() -> None:
    """A server may say anything; what it says is answered, and is no defect of ours."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/pl\xffin\r\nContent-Length: 2\r\n\r\n"
        writer.write(head + b"ab")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://turns.example:{port}/"
        file = await fetched(url, Bounds(Sites([f"*:{port}"]), _OURS), turns=["127.0.0.1"])
    assert file.content_type.encode().startswith(b"text/pl?")
    with pytest.raises(CallerError):
        page_of(file)


def test_addresses_that_stand_for_others_are_refused() -> None:
    """Translators on the way would take them to what is private."""
    doorman = Doorman(())
    passing = {
        one: doorman.lets_pass(ipaddress.ip_address(one))
        for one in ("93.184.215.14", "2606:2800::1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1")
    }
    assert [one for one, passes in passing.items() if passes] == ["93.184.215.14", "2606:2800::1"]


@pytest.mark.parametrize(
    ("entry", "url", "allowed"),
    [
        ("example.org", "https://example.org/x", True),
        ("example.org", "http://EXAMPLE.org./x", True),
        ("example.org", "http://example.org:8080/", False),
        ("example.org", "http://www.example.org/", False),
        ("example.org", "http://notexample.org/", False),
        ("*.example.org", "http://a.b.example.org/", True),
        ("*.example.org", "http://example.org/", False),
        ("*.example.org", "http://evilexample.org/", False),
        ("example.org:8080", "http://example.org:8080/", True),
        ("example.org:8080", "http://example.org/", False),
        ("*", "https://anything.example/", True),
        ("*", "http://anything.example:22/", False),
        ("[::1]:80", "http://[::1]/", True),
    ],
)
def test_a_site_is_allowed_by_its_name_and_port(entry: str, url: str, *, allowed: bool) -> None:
    """A name is not the end of another one."""
    sites = Sites([entry])
    if allowed:
        sites.check(parsed(url))
        return
    with pytest.raises(CallerError):
        sites.check(parsed(url))


@pytest.mark.parametrize(
    "url", ["ftp://a/", "/etc/passwd", "http:///x", "http://a b/", "http://[::1", "http://a:99999/"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """With what is wrong about it."""
    with pytest.raises(CallerError) as raised:
        parsed(url)
    assert raised.value.reason == errors.ERROR_REASON_URL_INVALID
