"""A real Prometheus scrapes a host, and its queries tell what the host's callers did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest

from tandemkit.core.clock import SystemClock
from tandemkit.hosting.host import Place, Placed, hosting
from tandemkit.hosting.http_port import address_of, listening
from tandemkit.testing import probe
from tandemkit.testing.parts import fetch
from tandemkit.testing.parts_network import prometheus_server
from tests.cluster.eventually import eventually
from tests.unit.tandemkit.hosting.probe_agent import AGENT

pytestmark = pytest.mark.cluster
CALLS = 7


async def test_m001_prometheus_counts_the_calls_of_a_host(tmp_path: Path) -> None:
    """Calls by method and status, their duration, and that the agent is up."""
    held = listening("127.0.0.1:0")
    scrape = {"job_name": "tandem", "static_configs": [{"targets": [address_of(held)]}]}
    config = json.dumps({"global": {"scrape_interval": "200ms"}, "scrape_configs": [scrape]})
    place = Place("127.0.0.1:0", tmp_path, SystemClock(), 0.0, http=held)
    async with hosting([Placed(AGENT, probe.ProbeRequest())], place) as port:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            echo: Any = channel.unary_unary(probe.path("Echo"))
            for _ in range(CALLS):
                await echo(b"")
        async with prometheus_server(config) as server:
            method = f'grpc_method="{probe.SERVICE}/Echo"'

            async def value_of(query: str) -> float:
                told = await fetch(f"{server.url}/api/v1/query?query={quote(query)}")
                return float(json.loads(told)["data"]["result"][0]["value"][1])

            async def started() -> float:
                return await value_of(f"grpc_server_call_started_total{{{method}}}")

            assert await eventually(started) == CALLS
            of_ok = f'{{{method},grpc_status="OK"}}'
            assert await value_of(f"grpc_server_call_duration_seconds_count{of_ok}") == CALLS
            within = f"grpc_server_call_duration_seconds_bucket{of_ok}"
            assert 0 < await value_of(f"histogram_quantile(0.99, {within})") < 5
            assert await value_of('tandem_agent_up{agent="probe-probe"}') == 1
            assert await value_of("process_resident_memory_bytes{job='tandem'}") > 1 << 20
