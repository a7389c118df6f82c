"""What is recorded of sampled calls, on both sides; of the others nothing is."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tandemkit.core.errors import CallerError
from tandemkit.rpc import trace
from tandemkit.rpc.report import _LOGGER
from tandemkit.telemetry.sdk import ReadableSpan, SpanKind, StatusCode
from tandemkit.testing import probe
from tandemkit.testing.logs import lines_of
from tests.contract.calls.scripted import Reached, Waiting, ask, said
from tests.contract.calls.test_streams import echo
from tests.contract.calls.test_terms import Busy, meshed
from tests.contract.calls.test_unary import failed

CODE = grpc.StatusCode
# Of one loop with the control plane; so is every module of the suite.
pytestmark = pytest.mark.asyncio(loop_scope="session")
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
NEAR = {"in-process", "mesh-in-process"}
CLIENT, SERVER = SpanKind.CLIENT, SpanKind.SERVER
__all__ = ["meshed"]


def code_of(span: ReadableSpan) -> Any:
    assert span.attributes is not None
    return span.attributes["rpc.grpc.status_code"]


def own_id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def parent_id(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


async def test_a_served_call_is_recorded_below_its_callers(it: Reached) -> None:
    """Named and described by the conventions, whatever the caller is and on whichever path."""
    await it.stub.Echo(ask(), metadata=((trace.HEADER, SAMPLED),))
    (span,) = it.spans.all()
    assert (span.name, span.kind) == (probe.path("Echo")[1:], SERVER)
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}-{span.parent.span_id:016x}" == f"{TRACE}-{PARENT}"
    assert dict(span.attributes or {}) == {
        "rpc.system": "grpc",
        "rpc.service": probe.SERVICE,
        "rpc.method": "Echo",
        "rpc.grpc.status_code": 0,
    }


async def test_nothing_else_is_recorded(it: Reached) -> None:
    """A call without a trace, or in one that is not sampled, leaves no span."""
    await it.stub.Echo(ask())
    await it.stub.Echo(ask(), metadata=((trace.HEADER, UNSAMPLED),))
    await it.stub.Echo(ask(), metadata=((trace.HEADER, "nonsense"),))
    assert list(it.spans.all()) == []


async def test_a_call_that_comes_without_a_trace_may_begin_one(it: Reached) -> None:
    """Most clients have none; one in this process had the choice, and one with a trace made it."""
    it.luck.says = 0.0
    await it.stub.Echo(ask(), metadata=((trace.HEADER, UNSAMPLED),))
    assert list(it.spans.all()) == []
    await it.stub.Echo(ask())
    kinds = [(span.kind, span.parent) for span in it.spans.all()]
    assert kinds == ([] if it.path in NEAR else [(SERVER, None)])


async def test_each_hop_is_below_the_one_before(meshed: Reached) -> None:
    """Caller, agent, the agent as a caller, the agent that it calls: one trace, four spans."""

    async def script(request: Any, _context: Any) -> Any:
        return await meshed.stub.Echo(ask("on")) if request.text == "hello" else said("")

    meshed.agent.script, meshed.reach.die.says = script, 0.0
    await meshed.stub.Echo(ask())
    kinds = [span.kind for span in meshed.spans.all()]
    assert kinds == [SERVER, CLIENT, SERVER, CLIENT]
    chain = list(reversed(meshed.spans.all()))
    assert [parent_id(span) for span in chain] == [None, *(own_id(span) for span in chain[:-1])]
    assert len({span.context.trace_id for span in chain if span.context}) == 1


async def test_the_agents_log_is_found_by_its_trace(
    meshed: Reached, caplog: pytest.LogCaptureFixture
) -> None:
    """The line of a sampled call has the id under which its span is kept."""
    meshed.reach.die.says = 0.0
    with caplog.at_level("INFO", _LOGGER.name):
        await meshed.stub.Echo(ask())
    (line,) = lines_of(caplog, "tandemkit.rpc")
    (span,) = meshed.spans.of(SERVER)
    assert span.context is not None
    assert line.__dict__["tandem_fields"]["trace_id"] == f"{span.context.trace_id:032x}"


async def test_a_failure_is_the_fault_of_the_side_that_is_at_fault(meshed: Reached) -> None:
    """Both spans have the code; a caller's own mistake is no error of the agent."""

    async def odd(_request: Any, _context: Any) -> Any:
        raise CallerError(probe.TOO_ODD, "too odd")

    async def broken(_request: Any, _context: Any) -> Any:
        raise KeyError("the secret of the agent")

    meshed.reach.die.says = 0.0
    for script in (odd, broken):
        meshed.agent.script = script
        await failed(meshed.stub.Echo(ask()))
    clients, servers = meshed.spans.of(CLIENT), meshed.spans.of(SERVER)
    codes = [CODE.FAILED_PRECONDITION.value[0], CODE.INTERNAL.value[0]]
    assert [code_of(span) for span in clients] == [code_of(span) for span in servers] == codes
    assert [span.status.status_code for span in clients] == [StatusCode.ERROR] * 2
    assert [span.status.status_code for span in servers] == [StatusCode.UNSET, StatusCode.ERROR]
    assert [(span.attributes or {})["tandem.error_reason"] for span in servers] == [
        "TOO_ODD",
        "INTERNAL",
    ]


async def test_a_call_has_one_span_however_often_it_is_tried(meshed: Reached) -> None:
    """Each attempt is a call to the agent, and below the one that its caller made."""
    meshed.agent.script, meshed.reach.die.says = Busy(), 0.0
    await failed(meshed.stub.Echo(ask()))
    (client,) = meshed.spans.of(CLIENT)
    servers = meshed.spans.of(SERVER)
    assert [parent_id(span) for span in servers] == [own_id(client)] * 2
    assert code_of(client) == CODE.UNAVAILABLE.value[0]


async def test_a_call_that_is_not_sent_is_recorded(meshed: Reached) -> None:
    """With the reason why; nobody served it."""
    meshed.reach.die.says = 0.0
    await failed(meshed.stub.Echo(ask(), timeout=-1))
    (span,) = meshed.spans.all()
    assert (span.kind, code_of(span)) == (CLIENT, CODE.DEADLINE_EXCEEDED.value[0])
    assert (span.attributes or {})["tandem.error_reason"] == "DEADLINE_TOO_SHORT"


async def test_calls_of_every_kind_are_recorded(meshed: Reached) -> None:
    """A span ends when its call does, which for a stream is when its last message was read."""

    async def some(_request: Any, _context: Any) -> AsyncIterator[Any]:
        yield said("one")

    async def count(requests: Any, _context: Any) -> Any:
        return said(str(len([request async for request in requests])))

    meshed.reach.die.says = 0.0
    meshed.agent.script = count
    await meshed.stub.Collect(iter([ask(), ask()]))
    meshed.agent.script = some
    stream = meshed.stub.Tail(ask())
    assert len([response async for response in stream]) == 1
    meshed.agent.script = echo
    chat = meshed.stub.Chat(iter([ask()]))
    assert (await chat.read()).text == "hello"
    assert await chat.read() is grpc.aio.EOF
    for kind in (CLIENT, SERVER):
        spans = meshed.spans.of(kind)
        assert [span.name.rpartition("/")[2] for span in spans] == ["Collect", "Tail", "Chat"]
        assert [code_of(span) for span in spans] == [0, 0, 0]


async def test_a_call_that_ends_early_is_recorded_as_such(meshed: Reached) -> None:
    """Whether its caller cancels it, or forgets it."""
    waiting = Waiting()
    meshed.agent.script, meshed.reach.die.says = waiting, 0.0
    call = meshed.stub.Echo(ask())
    await waiting.entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await waiting.cancelled.wait()
    waiting = Waiting()
    meshed.agent.script = waiting.after_one
    stream = meshed.stub.Tail(ask())
    await stream.read()
    await waiting.entered.wait()
    del stream
    gc.collect()
    await waiting.cancelled.wait()
    await meshed.server.drain(5)
    for kind in (CLIENT, SERVER):
        assert [code_of(span) for span in meshed.spans.of(kind)] == [CODE.CANCELLED.value[0]] * 2
