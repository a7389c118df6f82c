"""One request, one response: how it is answered, and how it fails."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import grpc
import pytest

from tandemkit.core.errors import CallerError, TransientError
from tandemkit.testing import probe
from tandemkit.testing.failures import Failure, failure_of
from tests.contract.calls.scripted import Reached, Waiting, ask, early, said

CODE = grpc.StatusCode
# Of one loop with the control plane; so is every module of the suite.
pytestmark = pytest.mark.asyncio(loop_scope="session")
LIMIT_BYTES = 4 * 1024 * 1024
_COLOUR: ContextVar[str] = ContextVar("colour", default="none")


async def failed(call: Any) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return failure_of(caught.value)


async def test_an_answer_comes_with_an_ok(it: Reached) -> None:
    """The response is what is awaited, as often as it is awaited; the status is OK and empty."""
    call = it.stub.Echo(ask())
    assert (await call).text == "hello"
    assert await call is await call
    assert (await call.code(), await call.details()) == (CODE.OK, "")
    assert (call.done(), call.cancelled(), call.cancel()) == (True, False, False)


async def test_a_call_runs_before_it_is_awaited(it: Reached) -> None:
    """Making the call starts it; awaiting only waits."""
    it.agent.script = waiting = Waiting()
    call = it.stub.Echo(ask())
    await waiting.entered.wait()
    assert not call.done()
    waiting.freed.set()
    assert (await call).text == "hello"


async def test_many_calls_run_at_once(it: Reached) -> None:
    """No call waits for another one, and each gets its own answer."""
    texts = [str(number) for number in range(50)]
    answers = await asyncio.gather(*(it.stub.Echo(ask(text)) for text in texts))
    assert [answer.text for answer in answers] == texts


async def test_a_callers_error_has_every_detail(it: Reached) -> None:
    """Code, reason, domain, message, metadata and field are those that the agent raised."""

    async def script(_request: Any, _context: Any) -> Any:
        raise CallerError(probe.TOO_ODD, "too odd", field="text", oddness=7)

    it.agent.script = script
    failure = await failed(it.stub.Echo(ask()))
    assert failure == Failure(
        code=CODE.FAILED_PRECONDITION,
        message="too odd",
        reason="TOO_ODD",
        domain="tandem.probe.v1",
        metadata={"oddness": "7"},
        violations={"text": "too odd"},
        retry_after_s=None,
    )


async def test_a_transient_error_says_when_to_come_back(it: Reached) -> None:
    """The delay reaches the caller."""

    async def script(_request: Any, _context: Any) -> Any:
        raise TransientError(probe.BUSY, "busy", retry_after_s=0.125)

    it.agent.script = script
    failure = await failed(it.stub.Echo(ask()))
    assert (failure.code, failure.reason) == (CODE.UNAVAILABLE, "BUSY")
    assert failure.retry_after_s == 0.125


async def test_the_call_tells_of_its_failure_too(it: Reached) -> None:
    """What the error says can be asked of the call, which is done but was not cancelled."""

    async def script(_request: Any, context: Any) -> Any:
        await context.send_initial_metadata((("started", "yes"),))
        await context.abort(CODE.NOT_FOUND, "gone for gööd", (("why", "moved"), ("raw-bin", b"\0")))

    it.agent.script = script
    call = it.stub.Echo(ask())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert (caught.value.code(), caught.value.details()) == (CODE.NOT_FOUND, "gone for gööd")
    assert (await call.code(), await call.details()) == (CODE.NOT_FOUND, "gone for gööd")
    trailing = [("why", "moved"), ("raw-bin", b"\0")]
    assert list(caught.value.trailing_metadata()) == trailing
    assert list(await call.trailing_metadata()) == trailing
    assert early(caught.value.initial_metadata()) == [("started", "yes")]
    assert (call.done(), call.cancelled()) == (True, False)
    with pytest.raises(grpc.aio.AioRpcError):
        await call.wait_for_connection()


async def test_a_code_that_was_set_discards_the_response(it: Reached) -> None:
    """A handler may return and fail all the same."""

    async def script(_request: Any, context: Any) -> Any:
        context.set_code(CODE.DATA_LOSS)
        context.set_details("half of it is missing")
        return said("the other half")

    it.agent.script = script
    failure = await failed(it.stub.Echo(ask()))
    assert (failure.code, failure.message) == (CODE.DATA_LOSS, "half of it is missing")


async def test_a_defect_hides_its_cause(it: Reached) -> None:
    """The caller learns an incident and nothing else."""

    async def script(_request: Any, _context: Any) -> Any:
        raise KeyError("the secret of the agent")

    it.agent.script = script
    failure = await failed(it.stub.Echo(ask()))
    assert (failure.code, [*failure.metadata]) == (CODE.INTERNAL, ["incident"])
    assert "secret" not in failure.message


async def test_an_answer_that_is_no_message_is_unknown(it: Reached) -> None:
    """A handler that forgets to return does not leave its caller waiting."""

    async def script(_request: Any, _context: Any) -> Any:
        return None

    it.agent.script = script
    assert (await failed(it.stub.Echo(ask()))).code == CODE.UNKNOWN


async def test_a_request_that_breaks_a_rule_is_refused(it: Reached) -> None:
    """The rules of the contract hold, and name the field."""
    failure = await failed(it.stub.Echo(ask("x" * (probe.TEXT_CHARS_MAX + 1))))
    assert (failure.code, failure.reason) == (CODE.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert failure.violations == {"text": "must be at most 1000 characters"}


async def test_bytes_pass_for_a_caller_without_types(it: Reached) -> None:
    """Who sends a message's bytes gets bytes; what is no message is the caller's fault."""
    raw = it.reach.channel.unary_unary(probe.path("Echo"))
    assert await raw(ask().SerializeToString()) == said("hello").SerializeToString()
    assert (await failed(raw(b"\xff\xff\xff"))).code == CODE.INVALID_ARGUMENT


async def test_neither_side_sees_what_the_other_changes_later(it: Reached) -> None:
    """Messages are copied in both directions."""
    kept, waiting = said("as it was"), Waiting()

    async def script(request: Any, context: Any) -> Any:
        await waiting(request, context)
        assert request.text == "hello"
        request.text = "changed by the agent"
        return kept

    it.agent.script = script
    request = ask()
    call = it.stub.Echo(request)
    await waiting.entered.wait()
    request.text = "changed by the caller"
    waiting.freed.set()
    answer = await call
    kept.text = "changed by the agent"
    assert (answer.text, request.text) == ("as it was", "changed by the caller")


async def test_context_variables_stay_on_their_side(it: Reached) -> None:
    """What the caller set is not seen by the agent, nor the other way round."""

    async def script(_request: Any, _context: Any) -> Any:
        seen = _COLOUR.get()
        _COLOUR.set("the agent's")
        return said(seen)

    it.agent.script = script
    token = _COLOUR.set("the caller's")
    assert (await it.stub.Echo(ask())).text == "none"
    assert _COLOUR.get() == "the caller's"
    _COLOUR.reset(token)


async def test_a_request_past_4_mib_is_refused(it: Reached) -> None:
    """The limit of gRPC holds; the agent never sees the request."""
    it.agent.script = waiting = Waiting()
    failure = await failed(it.stub.Echo(ask("x" * LIMIT_BYTES)))
    assert failure.code == CODE.RESOURCE_EXHAUSTED
    assert failure.message.startswith("SERVER: Received message larger than max (4194309 vs.")
    assert not waiting.entered.is_set()


async def test_a_response_past_4_mib_is_refused(it: Reached) -> None:
    """The same for what the agent answers."""

    async def script(_request: Any, _context: Any) -> Any:
        return said("x" * LIMIT_BYTES)

    it.agent.script = script
    failure = await failed(it.stub.Echo(ask()))
    assert failure.code == CODE.RESOURCE_EXHAUSTED
    assert failure.message.startswith("CLIENT: Received message larger than max (4194309 vs.")


async def test_one_call_too_many_is_refused_and_room_returns(it: Reached) -> None:
    """The limit of the contract counts the calls of every path."""
    it.agent.script = waiting = Waiting()
    held = [it.stub.Narrow(ask(), timeout=0.1) for _ in range(probe.CALLS_MAX)]
    await waiting.entered.wait()
    failure = await failed(it.stub.Narrow(ask()))
    assert (failure.code, failure.reason) == (CODE.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert failure.retry_after_s is not None
    waiting.freed.set()
    assert [(await call).text for call in held] == ["hello"] * probe.CALLS_MAX
    assert (await it.stub.Narrow(ask())).text == "hello"


async def test_who_asked_to_be_told_is_told(it: Reached) -> None:
    """A callback runs with the caller's own call when that is over, or at once where it is."""
    told: list[Any] = []
    call = it.stub.Echo(ask())
    for _ in range(2):
        call.add_done_callback(lambda one: told.append((one, one.done())))
    await call
    call.add_done_callback(lambda one: told.append((one, one.done())))
    assert told == [(call, True)] * 3


async def test_who_asked_is_told_of_a_call_that_nobody_awaits(it: Reached) -> None:
    """The end of a call does not depend on who waits for it."""
    it.agent.script = waiting = Waiting()
    told = asyncio.get_running_loop().create_future()
    call = it.stub.Echo(ask())
    call.add_done_callback(told.set_result)
    await waiting.entered.wait()
    waiting.freed.set()
    assert await told is call


async def test_who_asked_is_told_of_every_end(it: Reached) -> None:
    """Once: after the last attempt where there are several, and where the caller gives up."""
    told: list[CODE] = []

    async def note(call: Any) -> None:
        told.append(await call.code())

    async def script(_request: Any, _context: Any) -> Any:
        raise TransientError(probe.BUSY, "busy", retry_after_s=0.01)

    async with asyncio.TaskGroup() as notes:
        it.agent.script = script
        call = it.stub.Echo(ask())
        call.add_done_callback(lambda one: notes.create_task(note(one)))
        await failed(call)
        it.agent.script = waiting = Waiting()
        call = it.stub.Echo(ask())
        call.add_done_callback(lambda one: notes.create_task(note(one)))
        await waiting.entered.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert told == [CODE.UNAVAILABLE, CODE.CANCELLED]


async def test_a_failure_is_the_same_for_all_who_await_it(it: Reached) -> None:
    """At the same time or later: every one of them gets the error with its details."""

    async def script(_request: Any, _context: Any) -> Any:
        raise TransientError(probe.BUSY, "busy", retry_after_s=0.01)

    it.agent.script = script
    call = it.stub.Echo(ask())

    async def outcome() -> Any:
        return (await failed(call)).reason

    assert set(await asyncio.gather(outcome(), outcome())) == {"BUSY"}
    assert await outcome() == "BUSY"
