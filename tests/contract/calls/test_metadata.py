"""Metadata in every direction that a call has."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from tests.contract.calls.scripted import Reached, Waiting, ask, early, said

# Of one loop with the control plane; so is every module of the suite.
pytestmark = pytest.mark.asyncio(loop_scope="session")
_SENT = (("plain", "text"), ("plain", "twice"), ("raw-bin", b"\x00\xff"))


async def test_the_handler_sees_what_the_caller_sent(it: Reached) -> None:
    """Text and binary values arrive in order, repeated keys included, as pairs with names."""
    seen: list[Any] = []

    async def script(_request: Any, context: Any) -> Any:
        seen.extend(context.invocation_metadata())
        return said("")

    it.agent.script = script
    await it.stub.Echo(ask(), metadata=_SENT)
    await it.stub.Echo(ask(), metadata=grpc.aio.Metadata(*_SENT))
    ours = [(pair.key, pair.value) for pair in seen if pair.key in {"plain", "raw-bin"}]
    assert ours == [*_SENT, *_SENT]


async def test_the_caller_sees_what_the_handler_sent(it: Reached) -> None:
    """Initial and trailing metadata arrive, each where it belongs."""

    async def script(_request: Any, context: Any) -> Any:
        await context.send_initial_metadata(_SENT)
        context.set_trailing_metadata((("sum-bin", b"\x01"), ("late", "yes")))
        return said("")

    it.agent.script = script
    call = it.stub.Echo(ask())
    await call
    assert early(await call.initial_metadata()) == list(_SENT)
    assert list(await call.trailing_metadata()) == [("sum-bin", b"\x01"), ("late", "yes")]


async def test_initial_metadata_does_not_wait_for_the_first_message(it: Reached) -> None:
    """What a stream sent first can be read first."""
    waiting = Waiting()

    async def script(request: Any, context: Any) -> Any:
        await context.send_initial_metadata((("early", "yes"),))
        yield await waiting(request, context)

    it.agent.script = script
    call = it.stub.Tail(ask())
    assert early(await call.initial_metadata()) == [("early", "yes")]
    assert not call.done()
    waiting.freed.set()
    assert (await call.read()).text == "hello"


async def test_a_stream_has_metadata_too(it: Reached) -> None:
    """Initial metadata comes before the first message, trailing metadata after the last."""

    async def script(_request: Any, context: Any) -> Any:
        await context.send_initial_metadata((("early", "yes"),))
        yield said("one")
        context.set_trailing_metadata((("late", "yes"),))

    it.agent.script = script
    call = it.stub.Tail(ask())
    assert early(await call.initial_metadata()) == [("early", "yes")]
    assert [response.text async for response in call] == ["one"]
    assert list(await call.trailing_metadata()) == [("late", "yes")]


async def test_initial_metadata_is_sent_once(it: Reached) -> None:
    """A handler that sends it again is told."""
    told: list[str] = []

    async def script(_request: Any, context: Any) -> Any:
        await context.send_initial_metadata(())
        try:
            await context.send_initial_metadata(())
        except grpc.aio.UsageError as error:
            told.append(str(error))
        return said("")

    it.agent.script = script
    await it.stub.Echo(ask())
    assert told == ["Send initial metadata failed: already sent"]


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("Upper", "case", grpc.aio.InternalError),
        ("", "no key", grpc.aio.InternalError),
        ("line", "one\ntwo", grpc.aio.InternalError),
        ("foreign", "é", grpc.aio.InternalError),
        ("raw", b"\xff", grpc.aio.InternalError),
        ("text-bin", "text", TypeError),
        ("number", 1, TypeError),
    ],
)
async def test_what_no_header_can_hold_is_refused(
    it: Reached, key: str, value: Any, error: type[Exception]
) -> None:
    """Metadata that would not pass a wire passes nowhere, with the same error."""
    with pytest.raises(error):
        await it.stub.Echo(ask(), metadata=((key, value),))
