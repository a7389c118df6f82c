"""What a host shows without being called: HTTP, its pulse, and its log."""

from __future__ import annotations

import re

import pytest

from tandemkit.supervise.pulse import Reader
from tests.cluster.eventually import eventually
from tests.contract.runtime.hosted import Host

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
_LINE = re.compile(r"([a-z_]+)(\{[^}]*\})? [0-9.e+-]+|# (HELP|TYPE) .+|# EOF")
_FAMILIES = {
    "grpc_server_call_started_total": "counter",
    "grpc_server_call_duration_seconds": "histogram",
    "tandem_agent_up": "gauge",
    "tandem_agent_restarts_total": "counter",
    "process_cpu_seconds_total": "counter",
    "process_resident_memory_bytes": "gauge",
    "process_start_time_seconds": "gauge",
    "process_open_fds": "gauge",
}


class FacePromises:
    async def test_health_tells_of_the_host_and_its_agents(self, host: Host) -> None:
        """In one form for all runtimes, so that one page and one probe do for the fleet."""
        said = await host.get("/health")
        assert (said.status, said.headers["Content-Type"]) == (200, "application/json")
        value = said.value
        assert value["status"] == "SERVING"
        assert value["host"] == host.name
        assert (value["machine"], value["version"]) == (host.order.site.machine, "")
        assert value["memory_bytes"] > 1 << 20
        assert value["cpu_s"] > 0
        assert value["uptime_s"] > 0
        (agent,) = value["agents"]
        assert (agent["name"], agent["service"]) == (host.runtime.agent, host.runtime.service)
        assert (agent["status"], agent["cause"]) == ("SERVING", None)

    async def test_health_of_one_agent_counts_its_calls(self, host: Host) -> None:
        """And the time in them."""
        before = (await host.get(f"/health/{host.runtime.agent}")).value
        await host.ask(host.runtime.good)
        after = (await host.get(f"/health/{host.runtime.agent}")).value
        assert after["calls"] == before["calls"] + 1
        assert after["calls_s"] > before["calls_s"]
        assert (await host.get("/health/none-such")).status == 404

    async def test_metrics_have_the_names_that_all_hosts_have(self, host: Host) -> None:
        """In Prometheus's text format, or in OpenMetrics for who accepts it."""
        await host.ask(host.runtime.good)
        said = await host.get("/metrics")
        assert said.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = said.body.decode()
        assert [line for line in text.splitlines() if not _LINE.fullmatch(line)] == []
        for name, kind in _FAMILIES.items():
            assert f"# TYPE {name} {kind}\n" in text
        path = host.runtime.method(host.runtime.good.method).path.removeprefix("/")
        assert f'grpc_server_call_started_total{{grpc_method="{path}"}} ' in text
        labels = f'grpc_method="{path}",grpc_status="OK"'
        assert f"grpc_server_call_duration_seconds_count{{{labels}}} " in text
        assert f'_bucket{{{labels},le="0.005"}} ' in text
        assert f'_bucket{{{labels},le="+Inf"}} ' in text
        said = await host.get("/metrics", "Accept: application/openmetrics-text")
        assert said.headers["Content-Type"].startswith("application/openmetrics-text")
        assert said.body.endswith(b"# EOF\n")
        assert b"# TYPE grpc_server_call_started counter\n" in said.body

    @pytest.mark.parametrize(
        ("headers", "method", "status"),
        [
            (("Host: evil.example",), "GET", 421),
            (("Origin: http://evil.example",), "GET", 403),
            (("Content-Length: 0",), "POST", 405),
        ],
    )
    async def test_pages_of_others_are_told_nothing(
        self, host: Host, headers: tuple[str, ...], method: str, status: int
    ) -> None:
        """Any web page reaches a loopback port."""
        assert (await host.get("/health", *headers, method=method)).status == status

    async def test_its_pulse_beats(self, host: Host) -> None:
        """In the file that the supervisor named, from the loop that serves calls."""
        reader = Reader(host.pulse)
        first = reader.read()
        assert first is not None
        assert first.pid == host.process.pid
        assert [one.agent for one in reader.origins] == [host.runtime.agent]

        async def beats_again() -> bool:
            found = reader.read()
            assert found is not None
            return found.loop_s > first.loop_s and found.thread_s > first.thread_s

        await eventually(beats_again, within_s=5.0)
        reader.close()

    async def test_every_line_of_its_log_is_an_event(self, host: Host) -> None:
        """One JSON object each, in ASCII, with the fields that `./tandem logs` shows."""
        assert host.process.command.log_path.read_text().isascii()
        for line in host.lines():
            assert _TIME.fullmatch(line["time"])
            assert line["level"] in {"DEBUG", "INFO", "WARNING", "ERROR"}
            assert re.fullmatch(r"[a-z]+(\.[a-z_]+)+", line["event"])
            assert line["logger"]
        (serving,) = host.events("host.serving")
        assert serving["address"] == host.order.address
        assert serving["agents"] == [host.runtime.agent]

    async def test_a_refused_call_is_in_its_log(self, host: Host) -> None:
        """With what an operator asks: which call, how it ended, how long it took, whose."""
        refused = host.runtime.refused
        call = host.unary(refused.method)(refused.request, timeout=5)
        assert await call.code() is not None
        lines = [one for one in host.events("rpc.failed") if one["reason"] == refused.reason]
        path = host.runtime.method(refused.method).path
        assert (lines[-1]["rpc"], lines[-1]["code"]) == (path, "INVALID_ARGUMENT")
        assert lines[-1]["duration_ms"] > 0
        assert 4000 < lines[-1]["deadline_left_ms"] < 5100
        assert "127.0.0.1" in lines[-1]["peer"]
