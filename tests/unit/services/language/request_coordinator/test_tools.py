"""What can be worked out: read from words, done by the real toolbox."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from services.language.request_coordinator.arithmetic import NoSum, spelled, worked_out
from services.language.request_coordinator.reckoning import (
    Between,
    Clock,
    Conversion,
    DigestOf,
    Reckoning,
    Shifted,
    Weekday,
    reckoned,
)
from tandem.language.v1 import answer_pb2 as nouns
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandem.utility.v1 import digest_pb2 as digest
from tandemkit.testing.failures import failure_of
from tests.unit.services.language.request_coordinator.asking import Beside, coordinating


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("2 * (3 + 4)", "14"),
        ("15 % of 80", "12"),
        ("15 percent of 80", "12"),
        ("2 plus 3 times 4", "14"),
        ("-3^2", "-9"),
        ("1,000 * 2.5", "2500"),
        ("0.1 + 0.2", "0.3"),
        ("1/3", "0.333333333333 (about; exactly 1/3)"),
        ("-1/8", "-0.125"),
        ("2^-1", "0.5"),
        pytest.param(f"{'-' * 990}1 + 1", "2", id="signs"),
    ],
)
def test_sums_are_exact(text: str, result: str) -> None:
    """By fractions, so that nothing is rounded but what has no end."""
    assert spelled(worked_out(text)) == result


@pytest.mark.parametrize(
    "text",
    [
        *("", "3", "3 +", "(1+2", "1/0", "0^-1", "9^9^9", "2^1000^2", "a+b", "1+-"),
        pytest.param("(" * 99 + "1+1", id="brackets"),
        pytest.param("^".join(["1"] * 500), id="powers"),
    ],
)
def test_what_is_no_sum_or_too_long_a_one_is_refused(text: str) -> None:
    """At once, whatever it would come to."""
    with pytest.raises(NoSum):
        worked_out(text)


@pytest.mark.parametrize(
    ("text", "work"),
    [
        ("Convert 5 miles to km", Conversion(5, "miles", "km")),
        ("How many feet are there in 3 meters?", Conversion(3, "meters", "feet")),
        ("how many feet in a mile", Conversion(1, "mile", "feet")),
        ("What is 20 celsius in fahrenheit?", Conversion(20, "degC", "degF")),
        ("60 miles per hour in km/h", Conversion(60, "miles/hour", "km/h")),
        ("SHA-256 of 'hello'", DigestOf(digest.DIGEST_ALGORITHM_SHA256, "hello")),
        ("hash hello with md5", DigestOf(digest.DIGEST_ALGORITHM_MD5, "hello")),
        ("How many days between 2026-01-01 and 2026-12-25?", Between("2026-01-01", "2026-12-25")),
        ("how many days until December 25, 2026", Between("", "December 25, 2026")),
        ("What date is 3 weeks from now?", Shifted("", 3, "weeks")),
        ("What is the date in 90 days?", Shifted("", 90, "days")),
        ("10 days ago", Shifted("", -10, "days")),
        ("2 months before 2026-03-31", Shifted("2026-03-31", -2, "months")),
        ("What time is it in Tokyo?", Clock("Tokyo")),
        ("what day is it", Weekday("it")),
    ],
)
def test_arguments_are_read_from_words(text: str, work: Reckoning) -> None:
    """As people write them."""
    assert reckoned(text) == work


@pytest.mark.parametrize(
    "text",
    [
        "How do I add an agent?",
        "How many agents are in the fleet?",
        "What is 42?",
        "2026-11-22",
        "3 days",
        "What is the edge in a mesh?",
        "How do I convert a file to pdf?",
        "what happened 3 days before the outage",
        "a" * 5000,
    ],
)
def test_what_does_not_read_one_way_is_no_work_for_a_tool(text: str) -> None:
    """Nothing is guessed."""
    assert reckoned(text) is None


async def test_the_toolbox_works_it_out(tmp_path: Path) -> None:
    """The answer is what its methods say, and names it."""
    wanted = {
        "What is 2 * (3 + 4)?": "14",
        "Convert 5 miles to km": "5 miles is 8.04672 kilometer",
        "md5 of hello": "5d41402abc4b2a76b9719d911017c592",
        "How many days from 2026-01-01 to 2026-12-25?": "358 days from 2026-01-01 to 2026-12-25",
        "What is 1 month after 2026-01-31?": "Saturday, 2026-02-28",
        "What day of the week is 24 December 2026?": "Thursday, 2026-12-24",
    }
    async with coordinating(tmp_path, Beside()) as agent:
        for text, result in wanted.items():
            answer = await agent.Ask(pb.AskRequest(text=text))
            assert answer.answer == result
            assert answer.routing.route == nouns.ROUTE_TOOL
            assert answer.answerer.backend == "toolbox"
        clock = await agent.Ask(pb.AskRequest(text="What time is it in Tokyo?"))
    assert clock.answer.endswith("Asia/Tokyo")


async def test_what_the_toolbox_cannot_read_is_asked_of_documents(tmp_path: Path) -> None:
    """It looked like work for it; whoever asked for the route hears why not."""
    text = "Convert 3 florins to groats"
    async with coordinating(tmp_path, Beside()) as agent:
        answer = await agent.Ask(pb.AskRequest(text=text))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await agent.Ask(pb.AskRequest(text=text, route=nouns.ROUTE_TOOL))
    assert answer.answerer.backend == "extractive"
    assert answer.shortfalls[0].service == "tandem.utility.v1.ToolboxService"
    assert failure_of(caught.value).reason == "ROUTE_UNFIT"
