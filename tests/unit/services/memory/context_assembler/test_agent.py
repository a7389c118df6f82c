"""tandem.memory.v1.ContextAssemblerService, over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from services.memory.context_assembler.agent import AGENT
from tandem.memory.v1 import context_assembler_service_pb2 as pb
from tandem.memory.v1 import context_assembler_service_pb2_grpc as rpc
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import failure_of


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[rpc.ContextAssemblerServiceAsyncStub]:
    async with serving(AGENT, state_dir=tmp_path) as channel:
        yield rpc.ContextAssemblerServiceStub(channel)


def candidates(*texts: str) -> list[pb.ContextCandidate]:
    return [pb.ContextCandidate(name=f"c{number}", text=text) for number, text in enumerate(texts)]


async def test_a_context_is_told_with_marks_and_what_it_takes_up(
    agent: rpc.ContextAssemblerServiceAsyncStub,
) -> None:
    """Whoever cites by a mark finds the candidate, and where in it."""
    found = candidates("Herons eat fish.", "The stove is hot.", "Fish swim in the lake.")
    request = pb.AssembleContextRequest(query="fish", candidates=found, tokens_max=100)
    answer = await agent.AssembleContext(request)
    assert answer.text == "[1] Herons eat fish.\n\n[2] Fish swim in the lake."
    assert [(part.number, part.window.name) for part in answer.parts] == [(1, "c0"), (2, "c2")]
    assert answer.tokens == sum(part.tokens for part in answer.parts) <= 100
    (dropped,) = answer.dropped
    assert (dropped.name, dropped.cause) == ("c1", pb.CONTEXT_DROP_CAUSE_IRRELEVANT)


async def test_what_is_new_comes_before_what_is_as_good_and_old(
    agent: rpc.ContextAssemblerServiceAsyncStub,
) -> None:
    """Ages count from the newest, so that nobody's clock does."""
    found = candidates("The door is blue.", "The door is red.", "The door is green.")
    for one, seconds in zip(found, (100, 300_000, 200_000), strict=True):
        one.time.FromSeconds(seconds)
    weights = pb.ContextWeights(relevance=0.5, recency=0.5)
    request = pb.AssembleContextRequest(
        query="door", candidates=found, tokens_max=100, weights=weights
    )
    told = [part.window.name for part in (await agent.AssembleContext(request)).parts]
    assert told == ["c1", "c2", "c0"]
    request.order = pb.CONTEXT_ORDER_OLDEST_FIRST
    told = [part.window.name for part in (await agent.AssembleContext(request)).parts]
    assert told == ["c0", "c2", "c1"]


async def test_a_context_that_grows_keeps_its_beginning(
    agent: rpc.ContextAssemblerServiceAsyncStub,
) -> None:
    """A model that has read it need not read it anew."""
    found = candidates("A fish swims.", "A fish eats a worm.", "A fish, a fish, a fish!")
    first = pb.AssembleContextRequest(query="fish worm", candidates=found[:2], tokens_max=100)
    before = await agent.AssembleContext(first)
    again = pb.AssembleContextRequest(
        query="fish worm",
        candidates=reversed(found),
        tokens_max=100,
        previous=(part.window for part in before.parts),
    )
    after = await agent.AssembleContext(again)
    assert after.text.startswith(before.text)
    assert after.stable_tokens == before.tokens
    assert len(after.parts) == 3


@pytest.mark.parametrize(
    ("request_", "reason", "field"),
    [
        (pb.AssembleContextRequest(candidates=candidates("a")), "INVALID_REQUEST", "tokens_max"),
        (
            pb.AssembleContextRequest(
                candidates=[*candidates("a"), *candidates("b")], tokens_max=9
            ),
            "CANDIDATE_AMBIGUOUS",
            "candidates",
        ),
        (
            pb.AssembleContextRequest(candidates=candidates(*["a" * 32_000] * 40), tokens_max=9),
            "CANDIDATES_TOO_LONG",
            "candidates",
        ),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused(
    agent: rpc.ContextAssemblerServiceAsyncStub,
    request_: pb.AssembleContextRequest,
    reason: str,
    field: str,
) -> None:
    """With the field that is at fault."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await agent.AssembleContext(request_)
    failure = failure_of(caught.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert field in failure.violations
