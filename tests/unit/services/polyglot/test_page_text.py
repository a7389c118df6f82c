"""The page reader, as its callers meet it: through the host for Node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tandem.fleet.v1.plan_pb2 import PlannedHost
from tandem.polyglot.config.v1 import page_text_pb2 as cfg
from tandem.polyglot.v1 import page_pb2 as nouns
from tandem.polyglot.v1 import page_text_service_pb2 as pb
from tandem.polyglot.v1 import page_text_service_pb2_grpc as rpc
from tandemkit.supervise.processes import Command, run_process, supervised_process
from tandemkit.testing.failures import Failure, failure_of
from tandemkit.testing.parts import short_folder
from tests.polyglot.noding import node_host

pytestmark = pytest.mark.cluster

PAGE = b"""<title>News</title><nav><a href=/>Home</a></nav>
<p>Hello, <b>reader</b>.<p><a href="/more#top" rel=nofollow>More</a>"""
BASE = "https://site.example/today"
# Reading it takes most of a second, and more memory than its markup.
ENDLESS = b"<p>x, y. <b>z</b></p>" * 90_000


@asynccontextmanager
async def agent(**settings: Any) -> AsyncIterator[Any]:
    """The agent in a host without a fleet, that lets everybody in."""
    plan = PlannedHost(name="node")
    contract = pb.DESCRIPTOR.services_by_name["PageTextService"]
    planned = plan.agents.add(name="polyglot-page-text", service=contract.full_name)
    planned.settings.Pack(cfg.PageTextSettings(**settings))
    program = (await node_host()).argv
    with short_folder() as folder:
        file, socket = folder / "plan.binpb", folder / "socket"
        file.write_bytes(plan.SerializeToString())
        argv = (*program, str(file), "--listen", f"unix:{socket}", "--open", "--state", str(folder))
        command = Command(argv, folder / "log")

        async def ready() -> None:
            assert "host.serving" in command.log_path.read_text()

        async with (
            supervised_process(command, ready=ready),
            grpc.aio.insecure_channel(f"unix:{socket}") as channel,
        ):
            yield rpc.PageTextServiceStub(channel)


@pytest.fixture
async def stub() -> AsyncIterator[Any]:
    async with agent() as stub:
        yield stub


def asked(content: bytes = PAGE, **reading: Any) -> pb.ReadPageRequest:
    return pb.ReadPageRequest(content=content, reading=nouns.PageReading(**reading))


async def refused(call: Any) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return failure_of(error.value)


async def test_a_page_is_read_as_a_person_would(stub: Any) -> None:
    """Its title, its text without markup, and its links against where it came from."""
    page = (await stub.ReadPage(asked(base_url=BASE, links_max=10))).page
    assert (page.title, page.text) == ("News", "Home\n\nHello, reader.\n\nMore")
    assert (page.extent, page.charset) == (nouns.PAGE_EXTENT_WHOLE, "utf-8")
    assert [(one.url, one.text, one.nofollow) for one in page.links] == [
        ("https://site.example/", "Home", False),
        ("https://site.example/more", "More", True),
    ]


async def test_a_page_in_pieces_is_the_same_page(stub: Any) -> None:
    """Wherever it is cut, also within a character."""
    content = "<p>Grüße aus Köln".encode()
    pieces = [pb.ReadLongPageRequest(content=bytes([one])) for one in content]
    start = pb.ReadLongPageRequest(start=nouns.PageReading(content_type="text/html; charset=utf-8"))
    assert (await stub.ReadLongPage(iter([start, *pieces]))).page.text == "Grüße aus Köln"


async def test_a_stream_out_of_order_is_refused(stub: Any) -> None:
    """With what belonged there."""
    start = pb.ReadLongPageRequest(start=nouns.PageReading())
    content = pb.ReadLongPageRequest(content=b"x")
    for steps, expected in (((content,), "start"), ((start, start), "content"), ((), "start")):
        found = await refused(stub.ReadLongPage(iter(steps)))
        assert (found.reason, found.metadata) == ("STREAM_OUT_OF_ORDER", {"expected": expected})


async def test_what_is_no_page_is_refused_with_its_reason(stub: Any) -> None:
    """Also a page that is made to be read by nobody."""
    found = await refused(stub.ReadPage(asked(content_type="image/png")))
    assert (found.reason, list(found.violations)) == ("NOT_HTML", ["reading.content_type"])
    found = await refused(stub.ReadPage(asked(b"<div>" * 300_000)))
    assert (found.reason, found.metadata) == ("PAGE_TOO_COSTLY", {"depth_max": "2000"})
    found = await refused(stub.ReadPage(asked(base_url="ftp://site.example/")))
    assert (found.reason, list(found.violations)) == ("INVALID_REQUEST", ["reading.base_url"])


async def test_settings_limit_what_a_page_may_take() -> None:
    """Its size, its text, and the memory of the thread that reads it, which ends alone."""
    async with agent(page_bytes_max=1_800_000, text_chars_max=5, thread_memory_mib_max=24) as stub:
        found = await refused(stub.ReadPage(asked(b"x" * 1_800_001)))
        assert (found.reason, found.metadata) == ("TOO_LARGE", {"bytes_max": "1800000"})
        page = (await stub.ReadPage(asked(b"<p>Hello, reader."))).page
        assert (page.text, page.text_truncated) == ("Hello", True)
        found = await refused(stub.ReadPage(asked(ENDLESS[:1_800_000])))
        assert (found.reason, found.metadata) == ("PAGE_TOO_COSTLY", {"memory_mib_max": "24"})
        assert (await stub.ReadPage(asked(b"<p>Hello"))).page.text == "Hello"


async def test_a_caller_who_is_gone_holds_nobody_up() -> None:
    """The only thread is ended with the deadline of the page that it reads, and the next caller
    waits no longer than that; the host answers meanwhile.
    """
    async with agent(threads_max=1) as stub:
        await stub.ReadPage(asked())  # The connection and the thread are there now.
        late = stub.ReadPage(asked(ENDLESS), timeout=0.1)
        next_page = stub.ReadPage(asked(), timeout=9.0)
        found = await refused(stub.ReadPage(asked(content_type="image/png"), timeout=9.0))
        assert found.reason == "NOT_HTML"
        assert (await refused(late)).code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert (await next_page).page.title == "News"


async def test_the_program_passes_its_own_tests(tmp_path: Path) -> None:
    """Those that are written in its language, and its form; that its types are right, its build
    has seen.
    """
    host = await node_host()
    tests = sorted(str(path) for path in host.folder.glob("dist/test/**/*.test.js"))
    assert len(tests) >= 3
    prettier = str(host.folder / "node_modules" / "prettier" / "bin" / "prettier.cjs")
    for arguments in (("--test", *tests), (prettier, "--check", "src", "test")):
        command = Command((str(host.node), *arguments), tmp_path / "log", cwd=host.folder)
        async with asyncio.timeout(120):
            status = await run_process(command)
        assert status == 0, command.log_path.read_text()[-4000:]
