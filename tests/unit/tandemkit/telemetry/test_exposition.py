"""What Prometheus reads, in both of its formats."""

from __future__ import annotations

import math
import os
from pathlib import Path

import grpc

from tandemkit.rpc.tally import BOUNDS_S, Tally
from tandemkit.telemetry import calls, process
from tandemkit.telemetry.exposition import (
    COUNTER,
    GAUGE,
    HISTOGRAM,
    OPEN_METRICS,
    PLAIN,
    Family,
    Sample,
    buckets,
    media_type,
    text_of,
)

FAMILIES = (
    Family("calls", COUNTER, "Calls.", [Sample(3, {"method": 'a "b" \\ c\nd'})]),
    Family("nothing", GAUGE, "Never seen.", []),
    Family("took_s", HISTOGRAM, "Time.", [*buckets({}, (0.5, 2.0), (1, 0, 2), 9.5)]),
)


def test_the_text_format_names_a_counter_by_its_whole_name() -> None:
    """Labels are escaped, buckets add up, and a family without samples is left out."""
    assert text_of(FAMILIES, PLAIN) == (
        "# HELP calls_total Calls.\n"
        "# TYPE calls_total counter\n"
        'calls_total{method="a \\"b\\" \\\\ c\\nd"} 3\n'
        "# HELP took_s Time.\n"
        "# TYPE took_s histogram\n"
        'took_s_bucket{le="0.5"} 1\n'
        'took_s_bucket{le="2.0"} 1\n'
        'took_s_bucket{le="+Inf"} 3\n'
        "took_s_count 3\n"
        "took_s_sum 9.5\n"
    )


def test_open_metrics_names_its_family_and_says_where_it_ends() -> None:
    """The lines are the same; what differs is the counter's family and the end."""
    plain, found = text_of(FAMILIES, PLAIN), text_of(FAMILIES, OPEN_METRICS)
    expected = plain.replace("# HELP calls_total", "# HELP calls")
    expected = expected.replace("# TYPE calls_total", "# TYPE calls")
    assert found == expected + "# EOF\n"


def test_a_reader_gets_open_metrics_if_it_names_them() -> None:
    """A browser and curl get what every version of Prometheus reads."""
    assert media_type("application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1") == OPEN_METRICS
    assert media_type("text/html,*/*") == media_type("") == PLAIN


def test_calls_stand_under_the_names_of_grpcs_own_instruments() -> None:
    """A status that no call ended with has no lines, and each other one has all buckets."""
    idle, used = Tally("/a.B/Idle"), Tally("/a.B/Used")
    used.started = 3
    used.ok.add(0.0015)
    used.failed(grpc.StatusCode.UNAVAILABLE, 0.2)
    started, took = calls.families([idle, used])
    assert started.name == "grpc_server_call_started"
    assert [(one.labels["grpc_method"], one.value) for one in started.samples] == [
        ("a.B/Idle", 0),
        ("a.B/Used", 3),
    ]
    assert took.name == "grpc_server_call_duration_seconds"
    assert len(took.samples) == 2 * (len(BOUNDS_S) + 3)
    statuses = [one.labels["grpc_status"] for one in took.samples if one.suffix == "_count"]
    assert statuses == ["OK", "UNAVAILABLE"]


def test_a_process_says_what_it_uses() -> None:
    """What the kernel says of this one, under the names that every client library has."""
    usage = process.Usage.now()
    assert usage.memory_bytes is not None
    assert usage.virtual_bytes is not None
    assert usage.virtual_bytes > usage.memory_bytes > 1 << 20
    assert usage.open_fds
    with Path(os.devnull).open("rb"):
        now = process.Usage.now().open_fds
    assert now == usage.open_fds + 1
    values = {one.name: one.samples[0].value for one in process.families(usage)}
    assert values["process_resident_memory_bytes"] == usage.memory_bytes
    assert math.isclose(values["process_cpu_seconds"], usage.cpu_s)
    assert usage.started_unix_s is not None
    assert usage.started_unix_s > 1.7e9
