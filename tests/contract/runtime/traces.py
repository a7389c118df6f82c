"""Traces that go on through a host, and spans that it sends to a collector."""

from __future__ import annotations

import signal
from typing import Any

from tandemkit.rpc import trace
from tandemkit.testing.spans import collector
from tests.contract.runtime.calls import failed
from tests.contract.runtime.hosted import Fleet, ended

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER, ERROR = 2, 2


class TracePromises:
    async def test_sampled_calls_become_spans_below_their_callers(self, fleet: Fleet) -> None:
        """And no others do; what a host did not send yet it sends while it drains."""
        async with collector() as found:
            host = await fleet.start(
                "--trace-share", "0", OTEL_EXPORTER_OTLP_ENDPOINT=found.endpoint
            )
            sampled = ((trace.HEADER, f"00-{TRACE}-{PARENT}-01"),)
            await host.ask(host.runtime.good, metadata=sampled)
            await host.ask(host.runtime.good, metadata=((trace.HEADER, "00-nonsense-01"),))
            await host.ask(host.runtime.good)
            refused = host.runtime.refused
            await failed(host.unary(refused.method)(refused.request, metadata=sampled))
            (line,) = host.events("rpc.sampled")
            assert line["trace_id"] == TRACE
            host.signal(signal.SIGTERM)
            assert await ended(host.process) == 0
        spans = [span for service, span in found.spans() if service == host.runtime.agent]
        assert {(one["traceId"], one["parentSpanId"]) for one in spans} == {(TRACE, PARENT)}
        names = [
            host.runtime.method(one).path[1:] for one in (host.runtime.good.method, refused.method)
        ]
        assert [(one["kind"], one["name"]) for one in spans] == [(SERVER, name) for name in names]
        good, bad = (attributes(one) for one in spans)
        assert (good["rpc.system"], good["rpc.service"]) == ("grpc", host.runtime.service)
        assert (good["rpc.method"], good["rpc.grpc.status_code"]) == (host.runtime.good.method, "0")
        assert (bad["rpc.grpc.status_code"], bad["tandem.error_reason"]) == ("3", refused.reason)
        # What the caller did wrong is no error of the server.
        assert [one.get("status", {}).get("code", 0) == ERROR for one in spans] == [False, False]
        for one in spans:
            assert 0 < int(one["endTimeUnixNano"]) - int(one["startTimeUnixNano"]) < 5e9

    async def test_a_share_of_the_calls_without_a_trace_begins_one(self, fleet: Fleet) -> None:
        """As the option says, or 1 in 100 where spans go anywhere."""
        async with collector() as found:
            host = await fleet.start(
                "--trace-share", "1", OTEL_EXPORTER_OTLP_ENDPOINT=found.endpoint
            )
            await host.ask(host.runtime.good)
            host.signal(signal.SIGTERM)
            assert await ended(host.process) == 0
        ((_service, span),) = found.spans()
        assert not span.get("parentSpanId")
        assert len(span["traceId"]) == 32


def attributes(span: Any) -> dict[str, str]:
    """As text, whatever their types."""
    return {one["key"]: str(next(iter(one["value"].values()))) for one in span["attributes"]}
