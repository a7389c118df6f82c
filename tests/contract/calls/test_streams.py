"""Streams of all kinds: order, half-close, early ends, and what is copied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest

from tandemkit.core.errors import CallerError
from tandemkit.testing import probe
from tests.contract.calls.scripted import Reached, Waiting, ask, said
from tests.contract.calls.test_unary import failed

CODE = grpc.StatusCode
# Of one loop with the control plane; so is every module of the suite.
pytestmark = pytest.mark.asyncio(loop_scope="session")


async def count(requests: Any, _context: Any) -> Any:
    return said(",".join([request.text async for request in requests]))


async def echo(requests: Any, _context: Any) -> AsyncIterator[Any]:
    async for request in requests:
        yield said(request.text)


async def three(_request: Any, _context: Any) -> AsyncIterator[Any]:
    for number in range(3):
        yield said(str(number))


async def test_a_stream_is_iterated(it: Reached) -> None:
    """All messages come in order, then the end, and the status is OK."""
    it.agent.script = three
    call = it.stub.Tail(ask())
    assert [response.text async for response in call] == ["0", "1", "2"]
    assert await call.code() == CODE.OK
    assert await call.read() is grpc.aio.EOF


async def test_a_stream_is_read(it: Reached) -> None:
    """The same by `read`, which tells the end as often as it is asked."""
    it.agent.script = three
    call = it.stub.Tail(ask())
    assert [(await call.read()).text for _ in range(3)] == ["0", "1", "2"]
    assert [await call.read() for _ in range(2)] == [grpc.aio.EOF] * 2


async def test_a_failure_comes_after_what_was_sent(it: Reached) -> None:
    """No message is lost to an error; the error has its details, as often as it is asked for."""

    async def script(_request: Any, _context: Any) -> AsyncIterator[Any]:
        yield said("one")
        yield said("two")
        raise CallerError(probe.TOO_ODD, "too odd", oddness=7)

    it.agent.script = script
    call = it.stub.Tail(ask())
    assert [(await call.read()).text for _ in range(2)] == ["one", "two"]
    for _ in range(2):
        failure = await failed(call.read())
        assert (failure.reason, failure.metadata) == ("TOO_ODD", {"oddness": "7"})


async def test_the_end_waits_for_the_reader(it: Reached) -> None:
    """A call is not over while its caller has messages to read."""
    left = asyncio.Event()

    async def script(_request: Any, _context: Any) -> AsyncIterator[Any]:
        yield said("one")
        left.set()

    it.agent.script = script
    call = it.stub.Tail(ask())
    await left.wait()
    assert not call.done()
    assert (await call.read()).text == "one"
    assert await call.read() is grpc.aio.EOF
    assert call.done()


async def test_requests_come_from_any_iterator(it: Reached) -> None:
    """Plain and asynchronous iterators are sent to their end, and that closes the stream."""
    it.agent.script = count

    async def texts() -> AsyncIterator[Any]:
        for text in "abc":
            yield ask(text)

    assert (await it.stub.Collect(iter([ask("a"), ask("b")]))).text == "a,b"
    assert (await it.stub.Collect(texts())).text == "a,b,c"
    assert (await it.stub.Collect(iter(()))).text == ""


async def test_requests_are_written(it: Reached) -> None:
    """What is written arrives; after `done_writing` nothing more can be."""
    it.agent.script = count
    call = it.stub.Collect()
    await call.wait_for_connection()
    for text in "ab":
        await call.write(ask(text))
    await call.done_writing()
    await call.done_writing()
    with pytest.raises(asyncio.InvalidStateError, match="half closed"):
        await call.write(ask("c"))
    assert (await call).text == "a,b"


async def test_a_message_that_is_written_is_copied(it: Reached) -> None:
    """One message object serves a whole stream, on both sides."""
    request, response = ask(), said("")

    async def script(requests: Any, _context: Any) -> AsyncIterator[Any]:
        async for one in requests:
            response.text = one.text
            yield response

    it.agent.script = script
    call = it.stub.Chat()
    for text in "abc":
        request.text = text
        await call.write(request)
    await call.done_writing()
    assert [response.text async for response in call] == ["a", "b", "c"]


async def test_writing_and_iterating_do_not_mix(it: Reached) -> None:
    """Requests that come from an iterator cannot be written to as well."""
    it.agent.script = count
    call = it.stub.Collect(iter([ask("a")]))
    with pytest.raises(grpc.aio.UsageError, match="may not be mixed"):
        await call.write(ask("b"))
    assert (await call).text == "a"


async def test_reading_and_iterating_do_not_mix(it: Reached) -> None:
    """Whichever comes first bars the other, and iterating again goes on where it was."""
    it.agent.script = three
    call = it.stub.Tail(ask())
    assert (await call.read()).text == "0"
    with pytest.raises(grpc.aio.UsageError, match="may not be mixed"):
        aiter(call)
    assert (await call.read()).text == "1"
    call = it.stub.Tail(ask())
    async for response in call:
        assert response.text == "0"
        break
    with pytest.raises(grpc.aio.UsageError, match="may not be mixed"):
        await call.read()
    assert [response.text async for response in call] == ["1", "2"]


async def test_who_asked_about_a_stream_is_told(it: Reached) -> None:
    """With the caller's own call, when the last message was read."""
    it.agent.script = three
    told: list[Any] = []
    call = it.stub.Tail(ask())
    call.add_done_callback(told.append)
    assert len([response async for response in call]) == 3
    assert await call.code() == CODE.OK
    call.add_done_callback(told.append)
    assert told == [call, call]


async def test_an_iterator_that_fails_hangs_up(it: Reached) -> None:
    """Half a stream is no stream: the call is cancelled, and so is its handler."""
    waiting = Waiting()

    async def script(requests: Any, context: Any) -> Any:
        return await waiting(await anext(requests), context)

    def texts() -> Iterator[Any]:
        yield ask("a")
        raise KeyError("the caller's own")

    it.agent.script = script
    call = it.stub.Collect(texts())
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await call.code() == CODE.CANCELLED


async def test_every_request_of_a_stream_is_checked(it: Reached) -> None:
    """The first bad message ends the call with its violation."""
    it.agent.script = count
    requests = [ask("a"), ask("x" * (probe.TEXT_CHARS_MAX + 1))]
    failure = await failed(it.stub.Collect(iter(requests)))
    assert (failure.reason, [*failure.violations]) == ("INVALID_REQUEST", ["text"])


async def test_an_agent_may_answer_before_the_stream_ends(it: Reached) -> None:
    """The caller gets the answer, and is told that there is nobody to write to any more."""

    async def script(requests: Any, _context: Any) -> Any:
        return said((await anext(requests)).text)

    it.agent.script = script
    call = it.stub.Collect()
    await call.write(ask("enough"))
    assert (await call).text == "enough"
    with pytest.raises(asyncio.InvalidStateError, match="already finished"):
        await call.write(ask("more"))
    await call.done_writing()


async def test_an_agent_may_fail_before_the_stream_ends(it: Reached) -> None:
    """An error ends a request stream like an answer does."""

    async def script(_requests: Any, _context: Any) -> Any:
        raise CallerError(probe.TOO_ODD, "too odd")

    it.agent.script = script
    call = it.stub.Collect()
    assert (await failed(call)).reason == "TOO_ODD"
    with pytest.raises(asyncio.InvalidStateError, match="already finished"):
        await call.write(ask("more"))


async def test_a_conversation_takes_turns(it: Reached) -> None:
    """Each message is answered before the next one is sent; half-close ends the other half too."""
    it.agent.script = echo
    call = it.stub.Chat()
    for text in ("one", "two"):
        await call.write(ask(text))
        assert (await call.read()).text == text
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() == CODE.OK


async def test_a_half_closed_conversation_goes_on(it: Reached) -> None:
    """The agent can answer after the caller has said all."""

    async def script(requests: Any, _context: Any) -> AsyncIterator[Any]:
        texts = [request.text async for request in requests]
        for text in reversed(texts):
            yield said(text)

    it.agent.script = script
    call = it.stub.Chat(iter([ask("a"), ask("b")]))
    assert [response.text async for response in call] == ["b", "a"]


async def test_an_agent_may_end_a_conversation(it: Reached) -> None:
    """The caller reads the end though it has not closed its own half."""

    async def script(requests: Any, _context: Any) -> AsyncIterator[Any]:
        yield said((await anext(requests)).text)

    it.agent.script = script
    call = it.stub.Chat()
    await call.write(ask("bye"))
    assert (await call.read()).text == "bye"
    assert await call.read() is grpc.aio.EOF
    with pytest.raises(asyncio.InvalidStateError, match="already finished"):
        await call.write(ask("hello?"))
