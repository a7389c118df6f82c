"""Facts: what is true when, since when that is known, and what they make of each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from services.memory.memory_orchestrator.facts import (
    ALWAYS,
    NEVER,
    Claim,
    Outcome,
    holds_at,
    known_at,
    outcomes,
    settle,
)
from tandem.memory.config.v1 import memory_orchestrator_pb2 as cfg
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.testing.clock import FakeClock
from tests.unit.services.memory.memory_orchestrator.remembering import (
    Stub,
    add,
    name,
    refusal,
    remembering,
)

CURRENT, SUPERSEDED, CONTRADICTED = (
    nouns.MEMORY_STANDING_CURRENT,
    nouns.MEMORY_STANDING_SUPERSEDED,
    nouns.MEMORY_STANDING_CONTRADICTED,
)
_MOMENTS = range(8)
_CLAIMS = st.builds(
    lambda number, start, length, confidence: Claim(
        "", "abc"[number], start, start + length if length else NEVER, confidence
    ),
    st.integers(0, 2),
    st.integers(0, 6),
    st.integers(0, 4),
    st.sampled_from([0.5, 1.0]),
)


def year(number: int) -> Timestamp:
    moment = Timestamp()
    moment.FromJsonString(f"{number}-01-01T00:00:00Z")
    return moment


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def stub(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Stub]:
    settings = cfg.MemoryOrchestratorSettings(functional_predicates=["Lives in"])
    async with remembering(tmp_path, settings=settings, clock=clock) as stub:
        yield stub


async def learn(stub: Stub, memory_id: str, where: str, start: int, **said: Any) -> nouns.Memory:
    fact = nouns.Fact(subject="Ann", predicate="lives in", object=where, **said)
    return await add(stub, "", memory_id, fact=fact, valid_from=year(start))


async def lived(stub: Stub, valid: int, known: Timestamp | None = None) -> dict[str, int]:
    """Where, with how that stands."""
    request = pb.QueryFactsRequest(subject=" ann", predicate="LIVES in", valid_at=year(valid))
    if known is not None:
        request.known_at.CopyFrom(known)
    found = (await stub.QueryFacts(request)).memories
    return {one.fact.object: one.standing for one in found}


async def test_a_later_fact_closes_the_one_before(stub: Stub, clock: FakeClock) -> None:
    """What was known before that is still told as of then."""
    await learn(stub, "a", "Rome", 2010)
    before = Timestamp()
    before.FromDatetime(clock.now())
    await clock.advance(60)
    await learn(stub, "b", "Oslo", 2020)
    assert await lived(stub, 2015) == {"Rome": SUPERSEDED}
    assert await lived(stub, 2022) == {"Oslo": CURRENT}
    assert await lived(stub, 2022, before) == {"Rome": CURRENT}
    rome = (await stub.GetMemory(pb.GetMemoryRequest(name=name("a")))).memory
    assert (rome.valid_to, rome.standing, rome.version) == (year(2020), SUPERSEDED, 2)


async def test_an_earlier_fact_that_comes_late_ends_where_the_later_begins(stub: Stub) -> None:
    """The order in which they are learned changes nothing."""
    await learn(stub, "b", "Oslo", 2020)
    await learn(stub, "a", "Rome", 2010)
    assert await lived(stub, 2015) == {"Rome": SUPERSEDED}
    assert await lived(stub, 2022) == {"Oslo": CURRENT}


async def test_a_less_sure_fact_contradicts_and_an_update_decides(stub: Stub) -> None:
    """Both say with whom they are at odds; deciding for one takes the other back."""
    await learn(stub, "a", "Rome", 2010)
    made = await learn(stub, "b", "Oslo", 2020, confidence=0.4)
    assert (made.standing, list(made.contradicts)) == (CONTRADICTED, [name("a")])
    assert await lived(stub, 2022) == {"Rome": CONTRADICTED, "Oslo": CONTRADICTED}
    request = pb.UpdateMemoryRequest(name=name("b"), memory=nouns.Memory(standing=CURRENT))
    request.update_mask.paths.append("standing")
    assert (await stub.UpdateMemory(request)).memory.standing == CURRENT
    assert await lived(stub, 2022) == {"Oslo": CURRENT}
    assert await lived(stub, 2015) == {"Rome": SUPERSEDED}


async def test_a_contradiction_ends_with_a_correction_or_a_deletion(stub: Stub) -> None:
    """The other one stands again as if it had been alone."""
    await learn(stub, "a", "Rome", 2010)
    await learn(stub, "b", "Oslo", 2010)
    assert await lived(stub, 2011) == {"Rome": CONTRADICTED, "Oslo": CONTRADICTED}
    fact = nouns.Fact(subject="Ann", predicate="lives in", object="rome")
    request = pb.UpdateMemoryRequest(name=name("b"), memory=nouns.Memory(fact=fact))
    request.update_mask.paths.append("fact")
    assert (await stub.UpdateMemory(request)).memory.text == "Ann lives in rome"
    assert await lived(stub, 2011) == {"Rome": CURRENT, "rome": CURRENT}
    await learn(stub, "c", "Bonn", 2010)
    await stub.DeleteMemory(pb.DeleteMemoryRequest(name=name("c")))
    assert await lived(stub, 2011) == {"Rome": CURRENT, "rome": CURRENT}


async def test_what_others_made_of_a_fact_stays_with_other_changes(stub: Stub) -> None:
    """And is gone with the fact itself."""
    await learn(stub, "a", "Rome", 2010)
    await learn(stub, "b", "Oslo", 2020)
    await learn(stub, "c", "Bonn", 2020)
    request = pb.UpdateMemoryRequest(name=name("a"), memory=nouns.Memory(importance=0.9))
    request.update_mask.paths.append("importance")
    changed = (await stub.UpdateMemory(request)).memory
    assert (changed.standing, changed.valid_to, changed.version) == (SUPERSEDED, year(2020), 3)
    request = pb.UpdateMemoryRequest(name=name("b"), memory=nouns.Memory(text="no fact"))
    request.update_mask.paths.extend(["fact", "text"])
    changed = (await stub.UpdateMemory(request)).memory
    assert (changed.standing, list(changed.contradicts)) == (CURRENT, [])
    assert await lived(stub, 2022) == {"Bonn": CURRENT}


async def test_predicates_that_are_not_functional_contradict_nothing(stub: Stub) -> None:
    """Ann may like figs and plums, and both are listed by page."""
    for number, what in enumerate(["figs", "plums", "pears"]):
        fact = nouns.Fact(subject="Ann", predicate="likes", object=what)
        await add(stub, "", f"m{number}", fact=fact)
    heard, token = [], ""
    while True:
        request = pb.QueryFactsRequest(subject="Ann", page_size=2, page_token=token)
        page = await stub.QueryFacts(request)
        heard += [one.fact.object for one in page.memories]
        if not (token := page.next_page_token):
            break
    assert sorted(heard) == ["figs", "pears", "plums"]


async def test_a_fact_ends_later_than_it_begins(stub: Stub) -> None:
    """And one that does not is refused."""
    fact = nouns.Fact(subject="Ann", predicate="likes", object="figs")
    adding = add(stub, "", fact=fact, valid_from=year(2010), valid_to=year(2010))
    assert (await refusal(adding)).reason == "VALIDITY_INVALID"


@given(claims=st.lists(_CLAIMS, min_size=1, max_size=5))
@settings(max_examples=200)
def test_outcomes_are_those_of_a_naive_look_at_each_moment(claims: list[Claim]) -> None:
    """A claim holds at a moment unless a later one that is as sure began by then."""
    claims = [replace(one, id=str(number)) for number, one in enumerate(claims)]
    found = outcomes(claims)
    for one in claims:
        held = [at for at in _MOMENTS if one.start <= at < found[one.id].end]
        assert held == [at for at in _MOMENTS if _holds(one, at, claims)]
    assert outcomes(claims[::-1]) == found
    for one in claims:
        for other in found[one.id].against:
            assert one.id in found[other].against


def _holds(one: Claim, at: int, claims: list[Claim]) -> bool:
    return one.start <= at < one.end and not any(
        other.object != one.object
        and one.start < other.start <= at
        and other.start < one.end
        and other.confidence >= one.confidence
        for other in claims
    )


@dataclass
class _History:
    """What a program that keeps every state of every moment would know."""

    claims: dict[str, Claim] = field(default_factory=dict)
    states: list[tuple[int, dict[str, tuple[Claim, Outcome]]]] = field(default_factory=list)

    def change(self, at: int, memory_id: str, claim: Claim) -> None:
        self.claims[memory_id] = replace(claim, id=memory_id)
        found = outcomes(list(self.claims.values()))
        self.states.append((at, {key: (one, found[key]) for key, one in self.claims.items()}))

    def known(self, at: int) -> dict[str, tuple[Claim, Outcome]]:
        return next((state for moment, state in reversed(self.states) if moment <= at), {})


@given(changes=st.lists(st.tuples(st.sampled_from("xyz"), _CLAIMS), max_size=8))
@settings(max_examples=100)
def test_what_was_known_is_told_as_of_any_moment(changes: list[tuple[str, Claim]]) -> None:
    """Additions and corrections, against a history that forgets nothing."""
    history, records = _History(), dict[str, nouns.MemoryRecord]()
    for at, (memory_id, claim) in enumerate(changes, start=1):
        history.change(at, memory_id, claim)
        record = records.setdefault(memory_id, nouns.MemoryRecord())
        record.claim.fact.object = claim.object
        record.claim.valid_from.FromMicroseconds(claim.start)
        for key, (_, outcome) in history.known(at).items():
            settle(records[key], outcome, Timestamp(nanos=at * 1000), "default")
    for at in range(len(changes) + 2):
        for valid in _MOMENTS:
            moment = Timestamp(nanos=valid * 1000)
            told = {}
            for key, record in records.items():
                belief = known_at(record, Timestamp(nanos=at * 1000))
                if belief is not None and holds_at(belief, moment):
                    told[key] = (belief.fact.object, belief.standing)
            assert told == {
                key: (claim.object, outcome.standing)
                for key, (claim, outcome) in history.known(at).items()
                if claim.start <= valid < outcome.end
            }


def test_a_decision_stands_until_the_other_one_is_decided_for() -> None:
    """The later decision counts."""
    one = Claim("a", "x", 0, NEVER, 1.0, frozenset({"b"}), decided=1)
    other = Claim("b", "y", 0, NEVER, 1.0)
    assert outcomes([one, other])["a"] == Outcome(NEVER, CURRENT)
    assert outcomes([one, other])["b"] == Outcome(0, SUPERSEDED)
    again = replace(other, over=frozenset({"a"}), decided=2)
    assert outcomes([one, again])["b"] == Outcome(NEVER, CURRENT)
    assert ALWAYS < outcomes([one, again])["a"].end == 0
