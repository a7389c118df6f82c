"""Flags as operators change them and as agents follow them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.platform.feature_flag.editing import SHAPE
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandem.platform.v1 import feature_flag_pb2 as nouns
from tandem.platform.v1 import feature_flag_service_pb2 as pb
from tandem.platform.v1 import feature_flag_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock, stopwatch_s
from tandemkit.hosting.flags import Flags, Unflagged
from tandemkit.supervise.tasks import Tasks
from tandemkit.testing.failures import Failure, failure_of
from tandemkit.testing.parts import short_folder
from tests.unit.services.platform.feature_flag.flagged import (
    KEY,
    NOTE,
    Caller,
    boolean,
    flags_agent,
)

pytestmark = pytest.mark.timeout(60)


async def refusal(call: Awaitable[object]) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return failure_of(raised.value)


@asynccontextmanager
async def following(
    stub: rpc.FeatureFlagServiceAsyncStub, file: Path, **known: object
) -> AsyncIterator[Flags]:
    """As an agent does it; the same file again is its restart."""
    async with Tasks() as tasks:
        found = Flags(stub, known, file)
        await found.load()
        tasks.spawn("flags", found.run(SystemClock()))
        yield found


async def until(found: Flags, *, on: bool, key: str = KEY, who: str = "") -> None:
    """However many changes it takes."""
    async with asyncio.timeout(10):
        while found.boolean(key, default=not on, who=who) is not on:
            await found.changed()


async def test_m029_a_flip_reaches_running_agents_without_restart_and_is_reversible(
    flags: Caller, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Targeted at one agent, widened to all, and taken back, each heard at once by both."""
    is_cache = nouns.FlagCondition(
        attribute="agent", operator=nouns.FLAG_OPERATOR_ONE_OF, operands=["memory-cache"]
    )
    rule = nouns.FlagRule(name="pilot", conditions=[is_cache], variant="on")
    async with (
        following(flags.stub, tmp_path / "one", agent="memory-cache") as pilot,
        following(flags.stub, tmp_path / "two", agent="memory-search") as other,
    ):
        await flags.put(boolean(KEY, rule))
        await until(pilot, on=True)
        await until(other, on=False)
        begun_s = stopwatch_s()
        widened = await flags.put(boolean(KEY, rule, default_variant="on"))
        await until(other, on=True)
        took_ms = (stopwatch_s() - begun_s) * 1000
        await flags.undo(widened)
        await until(other, on=False)
        await until(pilot, on=True)
        await flags.switch(KEY, enabled=False)
        async with asyncio.timeout(10):
            while pilot.boolean(KEY, default=True) is not True or pilot.boolean(KEY, default=False):
                await pilot.changed()
    with capsys.disabled():
        sys.stdout.write(f"\na flip reaches a running agent in {took_ms:.1f} ms")


async def test_each_change_is_an_event_with_who_and_why(flags: Caller) -> None:
    """Before and after, in the order in which they were made."""
    await flags.put(boolean())
    await flags.switch(KEY, enabled=False)
    store = events_rpc.EventStoreServiceStub(flags.channel)
    async with asyncio.timeout(20):
        told: list[Any] = []
        while len(told) < 2:
            answer = await store.ReadStream(events.ReadStreamRequest(stream=SHAPE.name))
            told = [nouns.FlagChange.FromString(one.content.content) for one in answer.events]
    history = await flags.stub.ListFlagChanges(pb.ListFlagChangesRequest(key=KEY))
    assert told == list(reversed(history.changes))
    assert [(one.before.enabled, one.after.enabled) for one in told] == [
        (False, True),
        (True, False),
    ]
    assert {one.note.author for one in told} == {"ana"}


async def test_a_restart_knows_all_flags(tmp_path: Path) -> None:
    """They are the registry's, and so is their history."""
    with short_folder() as sockets:
        address = f"unix:{sockets}/flags"
        async with flags_agent(tmp_path, address) as caller:
            assert await caller.put(boolean()) == 1
        async with flags_agent(tmp_path, address) as caller:
            assert await caller.keys() == [KEY]
            assert await caller.undo(1) == 2
            assert await caller.keys() == []


async def test_a_follower_goes_on_while_nobody_answers(tmp_path: Path) -> None:
    """Also after its own restart, and it says that it is stale."""
    file = tmp_path / "copy"
    with short_folder() as sockets:
        address = f"unix:{sockets}/flags"
        async with flags_agent(tmp_path, address) as caller:
            await caller.put(boolean(default_variant="on"))
            async with following(caller.stub, file) as found:
                await until(found, on=True)
                # Told first, and then kept.
                while not file.exists():
                    await asyncio.to_thread(lambda: None)
        async with following(caller.stub, file) as found:
            await found.known()
            assert found.stale
            assert found.boolean(KEY, default=False)


async def test_a_look_that_finds_nothing_gives_the_callers_default(
    flags: Caller, tmp_path: Path
) -> None:
    """No flag, one of another kind, and none at all yet."""
    fresh = Flags(flags.stub, {}, tmp_path / "fresh")
    with pytest.raises(Unflagged):
        await fresh.known()
    await flags.put(boolean(default_variant="on"))
    async with following(flags.stub, tmp_path / "copy") as found:
        await until(found, on=True)
        assert found.text(KEY, default="x") == "x"
        assert found.whole("answers.many", default=3) == 3
        assert found.real("answers.much", default=0.5) == 0.5


def _with(**more: Any) -> nouns.Flag:
    return boolean(**more)


def _rule(**more: Any) -> nouns.FlagRule:
    return nouns.FlagRule(name="r", **more)


def _compared(operator: str, *operands: str) -> nouns.FlagRule:
    value = nouns.FlagOperator.Value(f"FLAG_OPERATOR_{operator}")
    condition = nouns.FlagCondition(attribute="a", operator=value, operands=operands)
    return _rule(conditions=[condition], variant="on")


_ALL_AND_MORE = [nouns.FlagShare(variant="on", millipercent=60_000)] * 2


@pytest.mark.parametrize(
    ("flag", "field"),
    [
        (_with(default_variant="blue"), "flag.default_variant"),
        (_with(off_variant="blue"), "flag.off_variant"),
        (
            _with(variants=[nouns.FlagVariant(name="on", value=nouns.FlagValue(boolean=True))]),
            "flag.variants",
        ),
        (
            _with(variants=[nouns.FlagVariant(name="t", value=nouns.FlagValue(text="t"))]),
            "flag.variants[2].value",
        ),
        (_with(rules=[_rule(variant="blue")]), "flag.rules[0].variant"),
        (_with(rules=[_rule(variant="on"), _rule(variant="on")]), "flag.rules"),
        (
            _with(rules=[_rule(rollout=nouns.FlagRollout(shares=_ALL_AND_MORE))]),
            "flag.rules[0].rollout.shares",
        ),
        (_with(rules=[_compared("MATCHES", "(")]), "flag.rules[0].conditions[0].operands"),
        (_with(rules=[_compared("ABOVE", "many")]), "flag.rules[0].conditions[0].operands"),
        (_with(rules=[_compared("PRESENT", "x")]), "flag.rules[0].conditions[0].operands"),
        (_with(rules=[_compared("ONE_OF")]), "flag.rules[0].conditions[0].operands"),
    ],
)
async def test_a_flag_that_contradicts_itself_is_refused(
    flags: Caller, flag: nouns.Flag, field: str
) -> None:
    """With the place of what is wrong, and nothing is kept."""
    found = await refusal(flags.put(flag))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FLAG_REFUSED")
    assert list(found.violations) == [field]
    assert await flags.keys() == []


async def test_a_flag_keeps_its_kind(flags: Caller) -> None:
    """Callers asked for booleans."""
    await flags.put(boolean())
    texts = boolean()
    texts.kind = nouns.FLAG_KIND_TEXT
    for variant in texts.variants:
        variant.value.text = variant.name
    assert (await refusal(flags.put(texts))).reason == "FLAG_KIND_FIXED"


async def test_only_the_version_that_was_seen_is_changed(flags: Caller) -> None:
    """Where the caller says which; the same again is harmless."""
    assert await flags.put(boolean(), expected=0) == 1
    assert await flags.put(boolean(), expected=0) == 1
    found = await refusal(flags.put(boolean(default_variant="on"), expected=0))
    assert (found.reason, found.metadata["latest_version"]) == ("FLAG_VERSION_CONFLICT", "1")


async def test_a_change_is_taken_back_only_over_itself(flags: Caller) -> None:
    """What somebody changed since would be lost, unless it is forced; twice is harmless."""
    await flags.put(boolean())
    second = await flags.put(boolean(default_variant="on"))
    await flags.switch(KEY, enabled=False)
    assert (await refusal(flags.undo(second))).reason == "FLAG_VERSION_CONFLICT"
    forced = await flags.undo(second, force=True)
    assert await flags.undo(second) == forced
    assert await flags.variant(KEY) == "off"
    assert (await refusal(flags.undo(99))).reason == "FLAG_CHANGE_NOT_FOUND"


async def test_flags_are_listed_in_pages_and_overdue_ones_named(flags: Caller) -> None:
    """By prefix; a token of another listing is refused."""
    for key in ("a.one", "a.two", "b.one"):
        flag = boolean(key)
        if key == "a.two":
            flag.end_time.FromJsonString("2020-01-01T00:00:00Z")
        await flags.put(flag)
    assert await flags.keys(prefix="a.") == ["a.one", "a.two"]
    first = await flags.stub.ListFlags(pb.ListFlagsRequest(page_size=2))
    assert list(first.overdue_keys) == ["a.two"]
    assert await flags.keys(page_size=2, page_token=first.next_page_token) == ["b.one"]
    assert (await refusal(flags.keys(page_token="x"))).reason == "PAGE_TOKEN_INVALID"


async def test_a_flag_that_is_not_there_is_refused_with_its_neighbours(flags: Caller) -> None:
    """Looked up, resolved or switched; to take away what is not there is harmless."""
    await flags.put(boolean())
    found = await refusal(flags.variant("answer.cite"))
    assert (found.reason, found.metadata["near"]) == ("FLAG_NOT_FOUND", KEY)
    assert (await refusal(flags.switch("no.flag", enabled=True))).reason == "FLAG_NOT_FOUND"
    asked = pb.DeleteFlagRequest(key="no.flag", note=NOTE)
    assert (await flags.stub.DeleteFlag(asked)).version == 1
