"""The calls of a trace out of logs, and what is said of each."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tandem.control.v1 import fleet_status_service_pb2 as pb
from tandemkit.cli.output import Refusal
from tandemkit.cli.why import why
from tandemkit.cli.why_calls import Served, served_of
from tandemkit.cli.why_text import Decided, text_of, value_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
METHOD = "tandem.utility.v1.ToolboxService/MeasureText"
CALL = Served("agents", BEGAN, 1.5, METHOD, "OK", "", "", "ipv4:127.0.0.1:5")


def line(time: str, **more: Any) -> str:
    said = {"time": time, "event": "rpc.sampled", "trace_id": TRACE, "rpc": f"/{METHOD}"}
    return json.dumps({**said, "code": "OK", "duration_ms": 500, "peer": "ipv4:1.2.3.4:5", **more})


def told(*hosts: str, since: datetime = BEGAN - timedelta(minutes=1)) -> pb.ExplainRouteResponse:
    endpoints = [pb.RouteEndpoint(host=one, target="127.0.0.1:1", machine="pc") for one in hosts]
    targets = [
        pb.RouteTarget(cluster="agents@a", weight=90, version="a", endpoints=endpoints),
        pb.RouteTarget(cluster="agents@b", weight=10, version="b"),
    ]
    gone = pb.AbsentHost(host="hosts/pc-other", cause=pb.AbsentHost.CAUSE_DRAINED)
    route = pb.TakenRoute(match="/tandem.utility.v1.ToolboxService/", targets=targets)
    route.left_out.append(gone)
    answer = pb.ExplainRouteResponse(revision=17, policy_version=3, route=route)
    answer.since_time.FromDatetime(since)
    return answer


def test_calls_of_one_trace_are_found_in_all_logs_in_the_order_of_their_begin(
    tmp_path: Path,
) -> None:
    """A line is written when a call ends; lines of others, and torn ones, are passed over."""
    inner = line("2026-01-02T03:04:05.900+00:00", duration_ms=100, peer="in-process:7")
    outer = line("2026-01-02T03:04:06.000+00:00", instance="utility-toolbox-2")
    other = line("2026-01-02T03:04:06.000+00:00", trace_id="f" * 32, peer=TRACE)
    odd = [line("0001-01-01T00:00:00+14:00"), line("now"), line("", duration_ms=[1])]
    odd += [line("2026-01-02T03:04:06+00:00", duration_ms=one) for one in (1e300, float("nan"))]
    lines = (inner, inner[:-9], other, TRACE, *odd)
    (tmp_path / "a.log").write_text("".join(f"{one}\n" for one in lines))
    (tmp_path / "b.log").write_text(f"{outer}\n")
    first, second = served_of(tmp_path, TRACE)
    assert (first.host, first.instance, first.in_process) == ("b", "utility-toolbox-2", False)
    assert (second.host, second.rpc, second.in_process) == ("a", METHOD, True)
    assert first.began == BEGAN + timedelta(milliseconds=500)


def test_the_revision_the_weights_and_who_was_left_out_are_said() -> None:
    """And which endpoint it was."""
    text = text_of([Decided(CALL, "hosts/pc-agents", told("hosts/pc-agents"))])
    assert "hosts/pc-agents served it, OK after 1.5 ms" in text
    assert "revision 17 (policy v3)" in text
    assert "-> agents@a, 90 % of the calls" in text
    assert "machine pc  <- served it" in text
    assert "left out: hosts/pc-other, drained by the traffic policy" in text


@pytest.mark.parametrize(
    ("one", "remark"),
    [
        (Decided(CALL, "hosts/pc-b", told("hosts/pc-agents")), "was no endpoint of it"),
        (Decided(CALL, "hosts/pc-a", told("hosts/pc-a", since=BEGAN)), "less than a second"),
        (Decided(CALL, "hosts/pc-a", unknown="control is away"), "control is away"),
    ],
)
def test_what_is_not_certain_is_said(one: Decided, remark: str) -> None:
    """To people and to programs."""
    assert remark in text_of([one])
    assert remark in str(value_of(one)["remark"])


def refusal(folder: Path, trace: str) -> Refusal:
    environment = {"TANDEM_HOME": str(folder), "HOME": str(folder)}
    done = CliRunner().invoke(why, [trace], env=environment)
    assert isinstance(done.exception, Refusal)
    return done.exception


def test_a_trace_that_nobody_wrote_of_is_a_no_that_says_how_to_make_one(tmp_path: Path) -> None:
    """Most calls leave no line; a word that is no trace is wrong usage."""
    absent, wrong = refusal(tmp_path, TRACE), refusal(tmp_path, "toolbox")
    assert (absent.exit_code, wrong.exit_code) == (1, 2)
    assert "./tandem call --trace" in absent.message
    header = f"00-{TRACE}-{'b' * 16}-01"
    assert TRACE in refusal(tmp_path, header).message.split(":")[0]
