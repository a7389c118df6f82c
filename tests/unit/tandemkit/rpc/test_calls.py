from __future__ import annotations

import logging

import grpc
import pytest

from tandemkit.core.errors import Bug
from tandemkit.rpc.contract import Contract
from tandemkit.rpc.server import Server
from tandemkit.testing import probe
from tandemkit.testing.logs import lines_of
from tests.unit.tandemkit.rpc.probed import Probe, probed, refused

CODE = grpc.StatusCode


async def test_a_good_call_is_answered() -> None:
    """A request that breaks no rule reaches the handler, and its answer the caller."""
    async with probed() as it:
        assert (await it.unary("Echo", "hello")).text == "hello"


async def test_a_broken_rule_is_named_and_never_reaches_the_handler() -> None:
    """The caller learns the field and the rule; the handler does not run."""
    async with probed() as it:
        failure = await refused(it.unary("Echo", "x" * (probe.TEXT_CHARS_MAX + 1)))
    assert (failure.code, failure.reason) == (CODE.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert failure.domain == "tandem.type.v1"
    assert failure.violations == {"text": "must be at most 1000 characters"}


async def test_bytes_that_are_no_message_are_the_callers_fault() -> None:
    """What cannot be parsed is INVALID_ARGUMENT, not an internal error."""
    async with probed() as it:
        failure = await refused(it.raw("Echo", b"\xff\xff\xff"))
    assert failure.code == CODE.INVALID_ARGUMENT
    assert failure.violations == {"": "is no tandem.probe.v1.ProbeRequest"}


async def test_a_callers_error_carries_the_code_of_its_reason() -> None:
    """Reason, domain, metadata and field reach the caller; the code is the one that the contract
    gives.
    """
    async with probed() as it:
        failure = await refused(it.unary("Echo", "odd"))
    assert (failure.code, failure.reason) == (CODE.FAILED_PRECONDITION, "TOO_ODD")
    assert (failure.domain, failure.message) == ("tandem.probe.v1", "too odd")
    assert failure.metadata == {"oddness": "7"}
    assert failure.violations == {"text": "too odd"}


async def test_a_transient_error_says_when_to_come_back() -> None:
    """RetryInfo carries the delay."""
    async with probed() as it:
        failure = await refused(it.unary("Echo", "busy"))
    assert (failure.code, failure.reason) == (CODE.UNAVAILABLE, "BUSY")
    assert failure.retry_after_s == 1.5


@pytest.mark.parametrize("text", ["crash", "bug", "own timeout", "unknown reason"])
async def test_a_defect_shows_an_incident_and_hides_its_cause(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The public text is bland, and the log has the cause under the same id."""
    with caplog.at_level(logging.INFO, "tandemkit.rpc"):
        async with probed() as it:
            failure = await refused(it.unary("Echo", text))
    assert (failure.code, failure.reason) == (CODE.INTERNAL, "INTERNAL")
    assert "secret" not in failure.message
    assert failure.metadata.keys() == {"incident"}
    (defect,) = (record for record in caplog.records if record.msg == "rpc.defect")
    assert defect.exc_info is not None
    assert vars(defect)["tandem_fields"]["incident"] == failure.metadata["incident"]


async def test_the_methods_own_deadline_ends_a_call_without_one() -> None:
    """A method has a deadline even if its caller set none; the handler is cancelled."""
    async with probed() as it:
        failure = await refused(it.unary("Narrow", "hang"))
        assert (failure.code, failure.reason) == (CODE.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        assert failure.metadata == {"deadline_s": "0.2"}
        assert it.servicer.left == ["cancelled"]


async def test_the_callers_sooner_deadline_cancels_the_handler() -> None:
    """The caller's own deadline ends the call on both sides."""
    async with probed() as it:
        failure = await refused(it.unary("Echo", "hang", timeout=0.05))
        assert failure.code == CODE.DEADLINE_EXCEEDED
        await it.unary("Echo", "a call that shows the server still serves")


async def test_a_deadline_ends_a_stream_after_what_it_sent() -> None:
    """A stream with a deadline delivers what came in time, then says why it ended."""
    async with probed() as it:
        call = it.stream("Burst", "hang")
        assert (await call.read()).text == "first"
        failure = await refused(call.read())
    assert failure.reason == "DEADLINE_EXCEEDED"


async def test_one_call_too_many_is_refused_and_room_returns() -> None:
    """Past the limit a call is told when to come back; after a leaver the next is served."""
    async with probed() as it:
        held = [it.unary("Narrow", "hang") for _ in range(probe.CALLS_MAX)]
        await it.servicer.entered.wait()
        answers = [await refused(it.unary("Narrow", "x"))]
        assert (answers[0].code, answers[0].reason) == (CODE.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert answers[0].retry_after_s is not None
        it.servicer.freed.set()
        for call in held:
            await call
        assert (await it.unary("Narrow", "x")).text == "x"


async def test_a_failure_in_a_stream_comes_after_what_was_sent() -> None:
    """A stream's failure has the same details as a unary one's."""
    async with probed() as it:
        call = it.stream("Tail", "odd")
        assert (await call.read()).text == "first"
        assert (await refused(call.read())).reason == "TOO_ODD"


async def test_every_message_of_a_request_stream_is_checked() -> None:
    """Good messages reach the handler; the first bad one ends the call."""
    async with probed() as it:
        assert (await it.collect(["a", "b"])).text == "a,b"
        failure = await refused(it.collect(["a", "x" * 1001]))
    assert failure.reason == "INVALID_REQUEST"


async def test_a_conversation_goes_both_ways() -> None:
    """Each message of a bidirectional stream is answered before the next is sent."""
    async with probed() as it:
        call = it.chat()
        for text in ("one", "two"):
            await call.write(probe.ProbeRequest(text=text))
            assert (await call.read()).text == text
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


async def test_draining_ends_an_endless_stream_at_once() -> None:
    """A stream without a deadline holds no server up; its caller is told to go elsewhere."""
    async with probed() as it:
        call = it.stream("Tail", "hang")
        assert (await call.read()).text == "first"
        await it.servicer.entered.wait()
        await it.server.drain(grace_s=60)
        failure = await refused(call.read())
    assert (failure.code, failure.reason) == (CODE.UNAVAILABLE, "DRAINING")


async def test_draining_lets_a_call_in_progress_finish() -> None:
    """What was taken in before the drain is answered."""
    async with probed() as it:
        call = it.unary("Echo", "hang")
        await it.servicer.entered.wait()
        it.servicer.freed.set()
        await it.server.drain(grace_s=60)
        assert (await call).text == "hang"


async def test_a_sampled_call_leaves_a_line_and_another_does_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line, with the caller's trace, for the call whose trace is recorded."""
    with caplog.at_level(logging.INFO, "tandemkit.rpc"):
        async with probed() as it:
            for flags in ("00", "01"):
                traced = (("traceparent", f"00-{'a' * 32}-{'b' * 16}-{flags}"),)
                await it.unary("Echo", "hello", metadata=traced)
    (line,) = (vars(record)["tandem_fields"] for record in lines_of(caplog, "tandemkit.rpc"))
    assert line["trace_id"] == "a" * 32
    assert (line["rpc"], line["code"]) == (probe.path("Echo"), "OK")


@pytest.mark.parametrize(("method", "level"), [("Tail", "DEBUG"), ("Echo", "INFO")])
async def test_a_watch_that_its_caller_ends_is_nothing_to_look_at(
    method: str, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends in no other way; another call was given up."""
    with caplog.at_level(logging.DEBUG, "tandemkit.rpc"):
        async with probed() as it:
            call = it.stream(method, "hang")
            await it.servicer.entered.wait()
            call.cancel()
            await it.servicer.gone.wait()
    (line,) = lines_of(caplog, "tandemkit.rpc")
    assert (line.getMessage(), line.levelname) == ("rpc.cancelled", level)


async def test_a_servicer_that_lacks_a_method_is_not_mounted() -> None:
    """A contract that is half implemented is found at start, not by a caller."""

    class Half(Probe):
        Echo = None  # type: ignore[assignment]  # as if it had been forgotten

    with pytest.raises(Bug, match="does not implement its contract"):
        Server().mount(Contract.of(probe.DESCRIPTOR), Half())
