"""Spans on their way out of a process; what they say is in tests/contract/calls/test_spans.py."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from tandemkit.core.environment import Environment
from tandemkit.hosting import process
from tandemkit.rpc.spans import UNTRACED, Tracing
from tandemkit.telemetry import otlp
from tandemkit.telemetry.export import SHARE, exported, share_of
from tandemkit.testing.spans import Collector, collector

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PATH = "/tandem.probe.v1.ProbeService/Echo"


async def export(found: Collector, **variables: str) -> None:
    """Makes two spans in a process with these variables, and ends it."""
    environment = Environment.read({ENDPOINT: found.endpoint, **variables})
    with ExitStack() as stack:
        tracing = stack.enter_context(exported(Tracing(0.5), environment, "files"))
        assert tracing.share == 0.5
        assert tracing.recorder is not None
        first = tracing.recorder.called(PATH, "")
        tracing.recorder.served(PATH, first.traceparent).end(grpc.StatusCode.OK)
        first.end(grpc.StatusCode.OK)
        # The last batch is sent in the end, and the collector is on this loop.
        await asyncio.to_thread(stack.close)


async def test_spans_reach_the_collector() -> None:
    """All of them, with ids that fit together, under the name of the process."""
    async with collector() as found:
        await export(found)
    (first_by, first), (second_by, second) = found.spans()
    assert {first_by, second_by} == {"files"}
    assert {first["name"], second["name"]} == {PATH[1:]}
    assert first["parentSpanId"] == second["spanId"]
    assert first["traceId"] == second["traceId"]


async def test_the_operators_name_for_a_process_goes_before_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OpenTelemetry's own variables mean what they mean everywhere."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=the-other")
    async with collector() as found:
        await export(found)
    assert {service for service, _span in found.spans()} == {"the-other"}


@pytest.mark.parametrize("variables", [{}, {ENDPOINT: "http://x", "OTEL_SDK_DISABLED": "true"}])
def test_without_a_collector_nothing_is_made(variables: dict[str, str]) -> None:
    """No recorder, no thread, and no share of the calls is sampled for nobody."""
    environment = Environment.read(variables)
    with exported(UNTRACED, environment, "files") as tracing:
        assert tracing is UNTRACED
    assert share_of(environment) == 0.0


def test_with_a_collector_one_call_in_a_hundred_begins_a_trace() -> None:
    """Where nobody says another share."""
    assert share_of(Environment.read({ENDPOINT: "http://collector:4318"})) == SHARE


def test_a_process_without_a_collector_does_not_load_opentelemetry() -> None:
    """Half a second at its start is for those who export."""
    script = (
        f"import sys, {process.__name__}\n"
        "print(*(name for name in sys.modules if name.startswith('opentelemetry')))"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    argv = (sys.executable, "-c", script)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_file_that_hides_opentelemetry_is_passed(tmp_path: Path) -> None:
    """In a .pex each distribution has its own folder, and xds-protos brings such a file."""
    hiding = tmp_path / "opentelemetry" / "__init__.py"
    hiding.parent.mkdir()
    hiding.touch()
    environment = {"PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))}
    argv = (
        sys.executable,
        "-c",
        f"import {otlp.__name__}, opentelemetry as it; print(it.__file__)",
    )
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(hiding)
