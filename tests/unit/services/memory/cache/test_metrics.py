"""What the cache tells Prometheus, on the page of its host."""

from __future__ import annotations

from pathlib import Path

import grpc

from services.memory.cache.agent import AGENT
from tandem.memory.config.v1 import cache_pb2 as cfg
from tandem.memory.v1 import cache_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.http_port import listening
from tandemkit.telemetry.exposition import GAUGE, Family, Sample, merged
from tests.unit.services.memory.cache.asking import get as entry
from tests.unit.services.memory.cache.asking import put
from tests.unit.tandemkit.hosting.asking import get


async def test_m053_the_hit_rate_of_each_namespace_is_told(tmp_path: Path) -> None:
    """With hits by tier, misses, evictions and bytes, so that a dashboard has all of it."""
    held, address = listening("127.0.0.1:0"), f"unix:{tmp_path}/sock"
    settings = cfg.CacheSettings(local_bytes_max=10_000)
    place = Place(address, tmp_path, SystemClock(), 0.0, http=held)
    async with (
        hosting((Placed(AGENT, settings),), place),
        grpc.aio.insecure_channel(address) as channel,
    ):
        stub: rpc.CacheServiceAsyncStub = rpc.CacheServiceStub(channel)
        for key in ("a", "b", "c"):
            await entry(stub, key, namespace="answers")
            await put(stub, key, bytes(3000), namespace="answers")
            await entry(stub, key, namespace="answers")
        await entry(stub, "a", namespace="answers")
        page = (await get(held, "/metrics")).body.decode()
    labels = 'agent="memory-cache",namespace="answers"'
    told = dict(line.rsplit(" ", 1) for line in page.splitlines() if labels in line)
    assert float(told.pop(f"tandem_cache_hit_ratio{{{labels}}}")) == 4 / 7
    assert told[f'tandem_cache_hits_total{{{labels},tier="local"}}'] == "3"
    assert told[f'tandem_cache_hits_total{{{labels},tier="shared"}}'] == "1"
    assert told[f"tandem_cache_misses_total{{{labels}}}"] == "3"
    assert told[f'tandem_cache_evictions_total{{{labels},tier="local"}}'] == "2"
    assert 0 < int(told[f'tandem_cache_bytes{{{labels},tier="local"}}']) <= 10_000
    assert int(told[f'tandem_cache_bytes{{{labels},tier="shared"}}']) > 9000


def test_what_two_agents_tell_by_one_name_is_one_family() -> None:
    """The formats allow each name once."""
    one = Family("size", GAUGE, "Bytes.", [Sample(1, {"agent": "a"})])
    other = Family("size", GAUGE, "Bytes.", [Sample(2, {"agent": "b"})])
    (found,) = merged([one, other])
    assert [sample.value for sample in found.samples] == [1, 2]
