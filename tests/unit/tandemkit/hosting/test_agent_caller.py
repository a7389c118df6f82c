"""A call that is given as a message: what is refused, what is sent, and how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.rpc import code_pb2

from tandem.platform.v1 import system_service_pb2 as system
from tandem.tasks.v1 import agent_call_pb2 as pb
from tandem.tasks.v1 import errors_pb2 as errors
from tandem.utility.v1 import toolbox_service_pb2 as toolbox
from tandemkit.core.errors import Bug, CallerError
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.agent_caller import AgentCaller, is_repeatable
from tandemkit.hosting.scope import Scope
from tandemkit.rpc.contract import Contract
from tandemkit.testing import probe
from tandemkit.testing.agents import fake_agent, serving
from tests.unit.tandemkit.rpc.probed import Probe

KEY = "job-1"
RUN = "/tandem.platform.v1.SystemService/RunCommand"
_CODE = code_pb2.Code


class Scripted(Probe):
    """Notes the headers and the time of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.headers: dict[str, Any] = {}
        self.left_s = 0.0

    async def Echo(self, request: Any, context: Any) -> Any:
        self.headers = dict(context.invocation_metadata())
        self.left_s = context.time_remaining()
        return await self._act(request)

    async def Narrow(self, request: Any, _context: Any) -> Any:
        return await self.Echo(request, _context)


def asked(text: str = "hi", method: str = "Echo", **fields: Any) -> pb.AgentCall:
    request = probe.ProbeRequest(text=text).SerializeToString()
    return pb.AgentCall(method=probe.path(method), request=request, **fields)


@asynccontextmanager
async def caller_of(
    folder: Path, callee: object, *others: Agent, calls_any: bool = True
) -> AsyncIterator[AgentCaller]:
    """What an agent is given that serves beside the probe."""
    made: list[AgentCaller] = []
    fake = fake_agent(toolbox.DESCRIPTOR)

    @asynccontextmanager
    async def build(_scope: Scope, _settings: None) -> AsyncIterator[object]:
        yield callee

    @asynccontextmanager
    async def noting(scope: Scope, settings: None) -> AsyncIterator[object]:
        made.append(scope.caller())
        async with fake.build(scope, settings) as servicer:
            yield servicer

    agent = replace(fake, build=noting, calls_any=calls_any)
    beside = (Agent(contract=probe.DESCRIPTOR, build=build), *others)
    async with serving(agent, beside=beside, state_dir=folder):
        yield made[0]


async def refusal(caller: AgentCaller, call: pb.AgentCall) -> CallerError:
    """Of the check and of the call, which say the same."""
    with pytest.raises(CallerError) as checked:
        await caller.check(call, KEY)
    with pytest.raises(CallerError) as called:
        await caller.call(call, KEY)
    assert (checked.value.reason, checked.value.field) == (called.value.reason, called.value.field)
    return checked.value


async def failed(caller: AgentCaller, call: pb.AgentCall) -> pb.CallFailure:
    answer = await caller.call(call, KEY)
    assert answer.WhichOneof("outcome") == "failure"
    return answer.failure


async def test_a_call_is_made_with_its_key_as_work_that_nobody_waits_for(tmp_path: Path) -> None:
    """The callee reads key and priority; the response comes back as bytes."""
    callee = Scripted()
    async with caller_of(tmp_path, callee) as caller:
        await caller.check(asked(), KEY)
        answer = await caller.call(asked(), KEY)
    assert probe.ProbeResponse.FromString(answer.response).text == "hi"
    assert callee.headers["x-tandem-idempotency-key"] == KEY
    assert callee.headers["x-tandem-priority"] == "batch"


async def test_an_agent_that_does_not_declare_it_gets_no_caller(tmp_path: Path) -> None:
    """What an agent may call stands in its declaration."""
    with pytest.raises(Bug, match="calls_any=True"):
        async with caller_of(tmp_path, Scripted(), calls_any=False):
            pass


@pytest.mark.parametrize(
    ("call", "reason", "field"),
    [
        (pb.AgentCall(method="/tandem.no.v1.SuchService/Do"), "METHOD_UNKNOWN", "method"),
        (pb.AgentCall(method=probe.path("Nothing")), "METHOD_UNKNOWN", "method"),
        (
            pb.AgentCall(method="/tandem.control.v1.HostService/CommandAgent"),
            "METHOD_UNKNOWN",
            "method",
        ),
        (pb.AgentCall(method=probe.path("Tail")), "METHOD_STREAMS", "method"),
        (pb.AgentCall(method=probe.path("Collect")), "METHOD_STREAMS", "method"),
        (
            pb.AgentCall(method=probe.path("Echo"), request=b"\xff"),
            "CALL_REQUEST_INVALID",
            "request",
        ),
        (asked("x" * (probe.TEXT_CHARS_MAX + 1)), "CALL_REQUEST_INVALID", "request"),
    ],
)
async def test_what_cannot_be_called_is_refused_before_anybody_is(
    tmp_path: Path, call: pb.AgentCall, reason: str, field: str
) -> None:
    """An unknown method, one with streams or of no agent, bytes that are none, a broken rule."""
    async with caller_of(tmp_path, Scripted()) as caller:
        found = await refusal(caller, call)
    assert found.reason == errors.ErrorReason.Value(f"ERROR_REASON_{reason}")
    assert found.field == field


async def test_a_broken_rule_is_named(tmp_path: Path) -> None:
    """Which field of the request, and what it should be."""
    async with caller_of(tmp_path, Scripted()) as caller:
        found = await refusal(caller, asked("x" * (probe.TEXT_CHARS_MAX + 1)))
    assert found.metadata["at"] == "text"
    assert str(probe.TEXT_CHARS_MAX) in found.metadata["rule"]


async def test_what_could_happen_twice_is_refused_unless_once_is_enough(tmp_path: Path) -> None:
    """A method that says nothing of repetition, and whose request has no id."""
    call = asked(method="Narrow")
    async with caller_of(tmp_path, Scripted()) as caller:
        await caller.check(call, KEY, at_most_once=True)
        with pytest.raises(CallerError) as caught:
            await caller.check(call, KEY)
    assert caught.value.reason == errors.ERROR_REASON_METHOD_NOT_REPEATABLE


async def test_a_request_without_an_id_gets_the_key_and_keeps_its_own(tmp_path: Path) -> None:
    """By it the callee knows the second attempt."""
    ids: list[str] = []

    async def run(request: Any, _context: Any) -> Any:
        ids.append(request.request_id)
        return system.RunCommandResponse()

    fake = fake_agent(system.DESCRIPTOR, RunCommand=run)
    command = system.RunCommandRequest(
        verb=system.SYSTEM_VERB_DRAIN, target="a", author="somebody", reason="a test"
    )
    async with caller_of(tmp_path, Scripted(), fake) as caller:
        for own in ("", "mine"):
            command.request_id = own
            call = pb.AgentCall(method=RUN, request=command.SerializeToString())
            await caller.check(call, KEY)
            await caller.call(call, KEY)
    assert ids == [KEY, "mine"]


def test_a_method_bears_repetition_by_its_promise_or_by_an_id_in_its_request() -> None:
    """Either is enough, and one of them is needed."""
    by_name = {one.name: one for one in Contract.of(probe.DESCRIPTOR).methods}
    (run,) = (one for one in Contract.of(system.DESCRIPTOR).methods if one.path == RUN)
    assert is_repeatable(by_name["Echo"])
    assert is_repeatable(replace(run, retryable=False))
    assert not is_repeatable(by_name["Narrow"])


async def test_an_attempt_has_the_shorter_of_both_deadlines(tmp_path: Path) -> None:
    """The method's own, and the one that was asked for."""
    callee = Scripted()
    short, long = asked(), asked(method="Narrow")
    short.deadline.FromMilliseconds(500)
    long.deadline.FromSeconds(60)
    async with caller_of(tmp_path, callee) as caller:
        await caller.call(short, KEY)
        assert 0 < callee.left_s <= 0.5
        await caller.call(long, KEY)
        assert 0 < callee.left_s <= probe.DEADLINE_MS / 1000
        late = await failed(caller, asked("hang", method="Narrow"))
    assert late.code == _CODE.DEADLINE_EXCEEDED
    assert not late.may_retry, "nobody knows whether it happened, and it must not happen twice"


@pytest.mark.parametrize(
    ("text", "code", "reason", "may_retry"),
    [
        ("odd", _CODE.FAILED_PRECONDITION, "TOO_ODD", False),
        ("busy", _CODE.UNAVAILABLE, "BUSY", True),
        ("bug", _CODE.INTERNAL, "INTERNAL", False),
    ],
)
async def test_a_failure_says_what_the_callee_said(
    tmp_path: Path, text: str, code: int, reason: str, *, may_retry: bool
) -> None:
    """Code, reason, delay, and whether trying again can help."""
    async with caller_of(tmp_path, Scripted()) as caller:
        found = await failed(caller, asked(text))
    assert (found.code, found.reason, found.may_retry) == (code, reason, may_retry)
    assert found.message
    assert found.HasField("retry_after") == (text == "busy")
    if text != "bug":
        assert found.domain == probe.PACKAGE


async def test_what_was_refused_before_it_began_may_be_sent_again(tmp_path: Path) -> None:
    """Also where the method must not happen twice: an instance that takes no more calls."""
    callee = Scripted()
    async with caller_of(tmp_path, callee) as caller, asyncio.TaskGroup() as group:
        for _ in range(probe.CALLS_MAX):
            group.create_task(caller.call(asked("hang", method="Narrow"), KEY))
        await callee.entered.wait()
        found = await failed(caller, asked(method="Narrow"))
        callee.freed.set()
    assert (found.code, found.reason) == (_CODE.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert found.may_retry


async def test_an_instance_is_asked_for_in_the_mesh(tmp_path: Path) -> None:
    """Only the mesh finds it: without a fleet the call finds nobody."""
    async with caller_of(tmp_path, Scripted()) as caller:
        found = await failed(caller, asked(instance="probe-probe-second"))
    assert (found.code, found.may_retry) == (_CODE.UNAVAILABLE, True)
