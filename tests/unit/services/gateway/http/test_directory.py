"""Whom the gateway knows, while the fleet changes and control comes and goes."""

from __future__ import annotations

from typing import Any, cast

import pytest
from google.protobuf.descriptor import ServiceDescriptor

from services.gateway.http.denied import Denied
from services.gateway.http.directory import Directory
from tandem.gateway.v1 import http_service_pb2 as gateway
from tandem.memory.v1 import answer_service_pb2 as answer
from tandemkit.hosting.fleet_methods import FleetMethods, Untold
from tandemkit.testing import probe
from tandemkit.testing.clock import FakeClock

PROBE = probe.DESCRIPTOR.services_by_name["ProbeService"]
GATEWAY = gateway.DESCRIPTOR.services_by_name["HttpService"]
ANSWER = answer.DESCRIPTOR.services_by_name["AnswerService"]


class Control:
    """Tells what there is, as FleetMethods does; None: nobody answers."""

    def __init__(self, *services: ServiceDescriptor) -> None:
        self.there: list[ServiceDescriptor] | None = [*services]
        self.asked = 0

    async def services(self) -> list[ServiceDescriptor]:
        self.asked += 1
        if self.there is None:
            raise Untold("nobody answers")
        return [*self.there]


def directory(control: Control, clock: FakeClock) -> Directory:
    return Directory(cast("FleetMethods", control), clock)


async def test_a_new_agent_is_there_for_who_asks_for_it() -> None:
    """Without a restart; whoever asks for what is not there makes us look once a second."""
    clock, control = FakeClock(), Control(PROBE)
    known = directory(control, clock)
    assert (await known.service("ProbeAgent")).name == probe.SERVICE
    for _ in range(10):
        with pytest.raises(Denied, match="AGENT_UNKNOWN"):
            await known.service("backend")
    assert control.asked == 1
    control.there = [PROBE, GATEWAY]
    await clock.advance(1)
    assert (await known.service("backend")).short == "gateway-http"
    assert control.asked == 2


async def test_what_is_known_is_answered_at_once_and_asked_again_later() -> None:
    """A caller waits for control only where nothing is known."""
    clock, control = FakeClock(), Control(PROBE)
    known = directory(control, clock)
    await known.method("probe-probe", "Echo")
    version = known.version
    control.there = [PROBE, GATEWAY]
    await clock.advance(31)
    await known.method("probe-probe", "Echo")
    assert control.asked == 1
    await clock.advance(0)
    assert (control.asked, known.version) == (2, version + 1)


async def test_what_was_known_holds_while_no_control_answers() -> None:
    """Calls need it for nothing else."""
    clock, control = FakeClock(), Control(PROBE)
    known = directory(control, clock)
    await known.service("probe-probe")
    control.there = None
    await clock.advance(3600)
    assert (await known.method("probe-probe", "Echo")).path == probe.path("Echo")
    assert [one.name for one in await known.services()] == [probe.SERVICE]


async def test_where_nothing_was_ever_known_callers_are_told_to_come_again() -> None:
    """And who comes again is answered once control is there."""
    clock, control = FakeClock(), Control()
    control.there = None
    known = directory(control, clock)
    with pytest.raises(Denied) as caught:
        await known.service("probe-probe")
    assert (caught.value.http_status, caught.value.reason) == (503, "CONTRACTS_UNREACHABLE")
    assert caught.value.retry_after_s
    control.there = [PROBE]
    assert (await known.service("probe-probe")).name == probe.SERVICE


async def test_a_name_of_its_own_is_no_others_alias() -> None:
    """Full names before short ones, and these before other spellings."""
    known = directory(Control(ANSWER, PROBE), FakeClock())
    for name in ("Vector Database Integration", "memory-answer", ANSWER.full_name):
        found: Any = await known.service(name)
        assert found.name == ANSWER.full_name
