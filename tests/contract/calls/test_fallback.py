"""Calls with a fallback, on each path that a mesh leads over, while faults are put in their way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tandemkit.core.errors import Bug, CallerError, TransientError
from tandemkit.rpc.fallback import LastKnown, OtherService, Source, Static, with_service_fallback
from tandemkit.testing import probe
from tandemkit.testing.clock import FakeClock
from tests.contract.calls.paths import OF_A_MESH
from tests.contract.calls.scripted import Reached, ask, reached_by, said
from tests.contract.calls.test_unary import failed

# Of one loop with the control plane; so is every module of the suite.
pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(params=OF_A_MESH, loop_scope="session")
async def it(request: pytest.FixtureRequest, mesh_port: int) -> AsyncIterator[Reached]:
    """The agent on each path of a mesh: nobody else knows of fallbacks."""
    async with reached_by(request.param, mesh_port) as reached:
        yield reached


class Faulty:
    """An agent that answers, or fails as it is told to."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.asked = 0

    async def __call__(self, request: Any, _context: Any) -> Any:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        return said(f"{request.text}, live")


BUSY = TransientError(probe.BUSY, "busy", retry_after_s=0.01)


async def test_m024_a_fault_is_met_by_the_last_known_answer_and_its_mark(it: Reached) -> None:
    """The same request has the answer that it had, marked as stale, with its age and the reason."""
    it.agent.script = faulty = Faulty()
    clock = FakeClock()
    echo = with_service_fallback(it.stub.Echo, LastKnown(age_s_max=60.0), clock=clock)
    live = await echo(ask("one"))
    assert (live.response.text, live.is_live, live.reason) == ("one, live", True, "")
    await clock.advance(42.0)
    faulty.fault = BUSY
    stale = await echo(ask("one"))
    assert (stale.response.text, stale.is_live) == ("one, live", False)
    assert (stale.source, stale.reason) == (Source.LAST_KNOWN, "UNAVAILABLE/BUSY")
    assert stale.age_s == pytest.approx(42.0)
    faulty.fault = None
    assert (await echo(ask("one"))).is_live


async def test_m024_what_is_too_old_or_was_never_asked_is_not_known(it: Reached) -> None:
    """Then the failure is the service's own, or the next fallback answers."""
    it.agent.script = faulty = Faulty()
    clock = FakeClock()
    echo = with_service_fallback(it.stub.Echo, LastKnown(age_s_max=60.0), clock=clock)
    await echo(ask("one"))
    await clock.advance(60.1)
    faulty.fault = BUSY
    assert (await failed(echo(ask("one")))).reason == "BUSY"
    both = with_service_fallback(it.stub.Echo, LastKnown(age_s_max=60.0), Static(said("so-so")))
    answered = await both(ask("never"))
    assert (answered.response.text, answered.source) == ("so-so", Source.STATIC)


async def test_m024_another_service_answers_and_is_named(it: Reached) -> None:
    """Unless it fails too."""
    it.agent.script = faulty = Faulty()
    faulty.fault = BUSY

    async def other(request: Any) -> Any:
        return said(f"{request.text}, other")

    echo = with_service_fallback(it.stub.Echo, OtherService(other))
    answered = await echo(ask("one"))
    assert (answered.response.text, answered.source) == ("one, other", Source.OTHER_SERVICE)
    nobody = with_service_fallback(it.stub.Echo, OtherService(it.stub.Echo))
    assert (await failed(nobody(ask("one")))).reason == "BUSY"


async def test_m024_an_open_breaker_is_met_at_once(it: Reached) -> None:
    """The service is not asked while its breaker is open, and the mark says why."""
    it.agent.script = faulty = Faulty()
    faulty.fault = BUSY
    echo = with_service_fallback(it.stub.Echo, Static(said("so-so")))
    answered = await echo(ask())
    while answered.reason != "UNAVAILABLE/CIRCUIT_OPEN":
        await it.reach.clock.sleep(0.5)
        answered = await echo(ask())
    asked = faulty.asked
    assert (await echo(ask())).source is Source.STATIC
    assert faulty.asked == asked


async def test_a_services_own_answer_is_no_fault(it: Reached) -> None:
    """A caller's mistake stays one."""
    it.agent.script = faulty = Faulty()
    faulty.fault = CallerError(probe.TOO_ODD, "too odd")
    echo = with_service_fallback(it.stub.Echo, Static(said("so-so")))
    assert (await failed(echo(ask()))).reason == "TOO_ODD"


async def test_a_caller_may_change_what_it_was_given(it: Reached) -> None:
    """The next one has the answer as it was."""
    it.agent.script = faulty = Faulty()
    faulty.fault = BUSY
    echo = with_service_fallback(it.stub.Echo, Static(said("so-so")))
    (await echo(ask())).response.text = "changed"
    assert (await echo(ask())).response.text == "so-so"


async def test_m024_a_write_has_no_fallback(it: Reached) -> None:
    """Whoever would write, streams, or comes from no mesh is refused when it is made."""
    for method in (it.stub.Narrow, it.stub.Collect, it.stub.Tail, _nobody):
        with pytest.raises(Bug):
            with_service_fallback(method, Static(said("")))
    with pytest.raises(Bug):
        with_service_fallback(it.stub.Echo)


async def _nobody(_request: Any) -> Any:
    """Of no stub."""
