"""Every call is counted once when it begins, and once under the status that it ends with."""

from __future__ import annotations

import grpc

from tandemkit.rpc.report import Report
from tandemkit.rpc.server import Server
from tandemkit.rpc.tally import BOUNDS_S, Durations, Tally
from tandemkit.testing import probe
from tests.unit.tandemkit.rpc.probed import Probed, probed, refused


def ended(tally: Tally) -> dict[str, int]:
    """Calls by status, without those that no call ended with."""
    found = {status: sum(one.counts) for status, one in tally.ended.items()}
    return {status: count for status, count in found.items() if count}


def test_a_duration_falls_into_the_bucket_whose_bound_it_does_not_exceed() -> None:
    """A bound belongs to its own bucket, and what is longer than all has the last one."""
    durations = Durations()
    for duration_s in (0.001, 0.0011, 1000.0):
        durations.add(duration_s)
    found = [place for place, count in enumerate(durations.counts) if count]
    assert found == [BOUNDS_S.index(0.001), BOUNDS_S.index(0.002), len(BOUNDS_S)]
    assert durations.sum_s == 1000.0021


async def test_calls_are_counted_by_method_and_status() -> None:
    """Unary calls and streams, well or not, over the wire and in the process."""
    report = Report()
    async with probed(Server(report)) as served:
        await calls_of_all_ends(served)
        way = served.server.local.inside(probe.path("Collect"))
        assert way is None  # its agent was not said to serve
        served.server.health.put(probe.SERVICE, serving=True)
        inside = served.server.local.inside(probe.path("Echo"))
        assert inside is not None
        await inside(probe.ProbeRequest(text="inside"))
        tallies = {one.method.rpartition("/")[2]: one for one in report.tallies}
        assert {one.method.partition("/")[0] for one in report.tallies} == {probe.SERVICE}
        assert ended(tallies["Echo"]) == {
            "OK": 3,
            "FAILED_PRECONDITION": 1,
            "INVALID_ARGUMENT": 1,
            "INTERNAL": 1,
            "CANCELLED": 1,
        }
        assert tallies["Echo"].started == 7
        assert ended(tallies["Tail"]) == {"OK": 1}
        assert (tallies["Chat"].started, ended(tallies["Chat"])) == (0, {})


async def test_a_call_that_hangs_has_begun_and_not_ended() -> None:
    """So that the difference of the two is what is in progress."""
    report = Report()
    async with probed(Server(report)) as served:
        hanging = served.unary("Echo", "hang")
        await served.servicer.entered.wait()
        (echo,) = (one for one in report.tallies if one.method.endswith("/Echo"))
        assert (echo.started, ended(echo)) == (1, {})
        served.servicer.freed.set()
        await hanging
        assert ended(echo) == {"OK": 1}
        assert echo.ok.sum_s > 0


async def calls_of_all_ends(served: Probed) -> None:
    for text in ("one", "two"):
        await served.unary("Echo", text)
    for text in ("odd", "crash", "x" * (probe.TEXT_CHARS_MAX + 1)):
        await refused(served.unary("Echo", text))
    hanging = served.unary("Echo", "hang")
    await served.servicer.entered.wait()
    hanging.cancel()
    await served.servicer.gone.wait()
    assert [one.text async for one in served.stream("Tail", "last")] == ["first", "last"]
    assert await hanging.code() is grpc.StatusCode.CANCELLED
