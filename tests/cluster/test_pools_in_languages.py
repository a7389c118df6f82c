"""Pools of Node and of Go, as Python's."""

from __future__ import annotations

from typing import Any

import pytest

from services.polyglot.file_digest import AGENT as FILE_DIGEST
from services.polyglot.page_text import AGENT as PAGE_TEXT
from tandem.platform.v1 import agent_pool_service_pb2 as pb
from tandem.polyglot.v1 import file_digest_service_pb2 as digest_pb
from tandem.polyglot.v1 import file_digest_service_pb2_grpc as digest_rpc
from tandem.polyglot.v1 import page_text_service_pb2 as page_pb
from tandem.polyglot.v1 import page_text_service_pb2_grpc as page_rpc
from tandemkit.core.token import Token
from tandemkit.testing.tokens import shown
from tests.cluster.pooled import Pooled, pooled, to

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
PAGES, DIGESTS = (one.promise.service.full_name for one in (PAGE_TEXT, FILE_DIGEST))
OTHERS = {"node": "polyglot-page-text*", "go": "polyglot-file-digest*"}


async def test_m014_m016_m017_instances_take_turns_in_every_language() -> None:
    """Two on one slot of Node and two on one of Go: each answers by its name, an index has what it
    learned before its slot was another's, and all are back when their hosts were killed.
    """
    async with pooled(hosts=1, slots=1, others=OTHERS) as it:
        for suffix in ("a", "b"):
            one = (await it.allocate(suffix, PAGES)).allocation.name
            assert await _read(it, one) == "Hello"
        page = (await it.allocate("a", PAGES)).allocation.name
        first = (await it.allocate("a", DIGESTS)).allocation.name
        await _learn(it, first)
        second = (await it.allocate("b", DIGESTS)).allocation.name
        assert await _files(it, second) == 0
        again = await it.allocate("a", DIGESTS)
        assert again.resumed
        assert await _files(it, first) == 1
        for host in ("pool-node", "pool-go"):
            it.checkout.kill(host)
        assert await _read(it, page) == "Hello"
        assert await _files(it, first) == 1


async def _read(it: Pooled, name: str) -> str:
    stub: Any = page_rpc.PageTextServiceStub(it.channel)
    request = page_pb.ReadPageRequest(content=b"<p>Hello")
    answer = await it.again(lambda: stub.ReadPage(request, metadata=to(name)))
    return str(answer.page.text)


async def _files(it: Pooled, name: str) -> int:
    stub: Any = digest_rpc.FileDigestServiceStub(it.channel)
    request = digest_pb.DescribeIndexRequest()
    return int((await it.again(lambda: stub.DescribeIndex(request, metadata=to(name)))).files_count)


async def _learn(it: Pooled, name: str) -> None:
    """At the host itself, for it is a stream."""
    pools = (await it.again(lambda: it.pool.GetPools(pb.GetPoolsRequest()))).pools
    (address,) = (host.address for pool in pools if pool.name == "go" for host in pool.hosts)
    async with shown(address, Token(it.checkout.home.token)) as channel:
        stub: Any = digest_rpc.FileDigestServiceStub(channel)
        start = digest_pb.DigestFileRequest.Start(name="files/a")
        piece = digest_pb.DigestFileRequest.Piece(content=b"hello")
        said = [digest_pb.DigestFileRequest(start=start), digest_pb.DigestFileRequest(piece=piece)]
        await stub.DigestFile(iter(said), metadata=to(name))
