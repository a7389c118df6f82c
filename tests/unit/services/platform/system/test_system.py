"""All machines from one client: what runs on them, and commands to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import EnumDescriptor

from services.platform.event_store import AGENT as EVENT_STORE
from tandem.control.v1 import errors_pb2 as control_errors
from tandem.control.v1 import machine_pb2 as control
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandem.platform.v1 import system_service_pb2 as pb
from tandemkit.core.errors import CallerError
from tandemkit.testing.agents import serving
from tandemkit.testing.failures import Failure, failure_of
from tests.unit.services.platform.system.machines import (
    FakeFleet,
    FakeMachine,
    command,
    commanding,
)

pytestmark = pytest.mark.timeout(60)
CODE = grpc.StatusCode
VERBS = ["start", "stop", "restart", "drain", "suspend", "resume", "return"]


@dataclass
class Site:
    """A fleet of two machines and whoever commands it."""

    fleet: FakeFleet
    system: Any
    store: Any

    async def recorded(self, count: int) -> list[pb.SystemCommand]:
        """The events, once there are so many."""
        while True:
            found = await self.store.ReadStream(events.ReadStreamRequest(stream="commands"))
            if len(found.events) >= count:
                return [pb.SystemCommand.FromString(one.content.content) for one in found.events]
            await asyncio.to_thread(lambda: None)

    async def failure(self, call: Awaitable[object]) -> Failure:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        return failure_of(refused.value)


def two_machines() -> FakeFleet:
    return FakeFleet(
        FakeMachine("mainpc", {"agents": ["text-tell", "text-sum"], "files": ["utility-files"]}),
        FakeMachine("pc2", {"agents": ["text-tell", "vision-face"]}),
    )


@asynccontextmanager
async def site(folder: Path, fleet: FakeFleet | None = None) -> AsyncIterator[Site]:
    fleet = fleet or two_machines()
    async with (
        serving(EVENT_STORE, state_dir=folder / "store") as channel,
        commanding(fleet, folder, channel) as system,
    ):
        yield Site(fleet, system, events_rpc.EventStoreServiceStub(channel))


@pytest.mark.parametrize("verb", VERBS)
async def test_m006_every_verb_is_done_on_both_machines_from_one_client(
    tmp_path: Path, verb: str
) -> None:
    """One call does it wherever the target is, and says so machine by machine."""
    async with site(tmp_path) as found:
        done = await found.system.RunCommand(command(verb, "text-tell"))
        outcomes = [(one.machine, one.code, list(one.agents)) for one in done.outcomes]
        assert outcomes == [("mainpc", 0, ["text-tell"]), ("pc2", 0, ["text-tell"])]
        for machine in found.fleet.machines.values():
            (asked,) = machine.done
            assert control.Verb.Name(asked.verb) == f"VERB_{verb.upper()}"
            assert (asked.note.author, asked.note.reason) == ("ann", "trying")


@pytest.mark.parametrize(
    ("target", "agents"),
    [("vision-face", ["vision-face"]), ("files", ["utility-files"]), ("text-sum", ["text-sum"])],
)
async def test_an_agent_a_host_or_a_group_is_found_where_it_is(
    tmp_path: Path, target: str, agents: list[str]
) -> None:
    """Machines that do not have it are left alone and left out."""
    async with site(tmp_path) as found:
        done = await found.system.RunCommand(command("stop", target))
        assert [list(one.agents) for one in done.outcomes] == [agents]


async def test_a_command_can_be_for_one_machine(tmp_path: Path) -> None:
    """The same agent goes on elsewhere."""
    async with site(tmp_path) as found:
        done = await found.system.RunCommand(command("stop", "text-tell", machines=["pc2"]))
        assert [one.machine for one in done.outcomes] == ["pc2"]
        listed = await found.system.ListSystem(pb.ListSystemRequest())
        states = {(one.machine, one.name): one.state for one in listed.agents}
        assert states["pc2", "text-tell"] == pb.RUN_STATE_STOPPED
        assert states["mainpc", "text-tell"] == pb.RUN_STATE_SERVING


async def test_all_machines_are_listed(tmp_path: Path) -> None:
    """By machine, host and name, in pages; what a machine says of its hosts stands on each."""
    async with site(tmp_path) as found:
        first = await found.system.ListSystem(pb.ListSystemRequest(page_size=3))
        rest = await found.system.ListSystem(
            pb.ListSystemRequest(page_size=3, page_token=first.next_page_token)
        )
        assert [(one.machine, one.host, one.name) for one in (*first.agents, *rest.agents)] == [
            ("mainpc", "agents", "text-sum"),
            ("mainpc", "agents", "text-tell"),
            ("mainpc", "files", "utility-files"),
            ("pc2", "agents", "text-tell"),
            ("pc2", "agents", "vision-face"),
        ]
        assert not rest.next_page_token
        for page in (first, rest):
            assert [(one.name, one.answered) for one in page.machines] == [
                ("mainpc", True),
                ("pc2", True),
            ]
        assert [one.name for one in first.machines[0].hosts] == ["agents", "files"]
        assert first.machines[0].hosts[0].state == pb.RUN_STATE_SERVING
        token = pb.ListSystemRequest(machines=["pc2"], page_token=first.next_page_token)
        refused = await found.failure(found.system.ListSystem(token))
        assert refused.reason == "PAGE_TOKEN_INVALID"


async def test_a_machine_that_does_not_answer_is_marked_and_holds_up_nobody(tmp_path: Path) -> None:
    """The others are listed and commanded all the same."""
    fleet = two_machines()
    fleet.machines["pc2"].answering.clear()
    fleet.machines["spare"] = FakeMachine("spare", {}, is_supervised=False)
    async with site(tmp_path, fleet) as found:
        listed = await found.system.ListSystem(pb.ListSystemRequest())
        assert {one.machine for one in listed.agents} == {"mainpc"}
        told = {one.name: (one.answered, one.cause) for one in listed.machines}
        assert told["mainpc"] == (True, "")
        assert told["pc2"] == (False, "it did not answer in time")
        assert told["spare"] == (False, "its supervisor is not in the fleet")
        fleet.machines["pc2"].answering.set()
        done = await found.system.RunCommand(command("stop", "text-tell"))
        outcomes = {one.machine: (one.code, one.message) for one in done.outcomes}
        assert outcomes["mainpc"] == outcomes["pc2"] == (0, "")
        assert outcomes["spare"] == (14, "its supervisor is not in the fleet")


async def test_what_a_machine_refuses_is_its_outcome(tmp_path: Path) -> None:
    """With its own reason, beside what came of it elsewhere."""
    fleet = two_machines()
    reason = control_errors.ERROR_REASON_AGENT_BOUND_TO_HOST
    fleet.machines["pc2"].refusal = CallerError(reason, "restart the host")
    async with site(tmp_path, fleet) as found:
        done = await found.system.RunCommand(command("restart", "text-tell"))
        here, there = done.outcomes
        assert (here.machine, here.code) == ("mainpc", 0)
        assert (there.machine, there.code, there.reason, there.message) == (
            "pc2",
            CODE.FAILED_PRECONDITION.value[0],
            "AGENT_BOUND_TO_HOST",
            "restart the host",
        )


async def test_a_mistyped_name_is_refused_with_near_ones(tmp_path: Path) -> None:
    """Of a target, from all machines; of a machine; and nothing is done."""
    async with site(tmp_path) as found:
        refused = await found.failure(found.system.RunCommand(command("stop", "text-tel")))
        assert (refused.code, refused.reason) == (CODE.NOT_FOUND, "TARGET_UNKNOWN")
        assert "text-tell" in refused.metadata["near"]
        asked = command("stop", "text-tell", machines=["mainpx"])
        refused = await found.failure(found.system.RunCommand(asked))
        assert (refused.code, refused.reason) == (CODE.NOT_FOUND, "MACHINE_UNKNOWN")
        assert refused.metadata == {"name": "mainpx", "near": "mainpc"}
        asked_for = pb.ListSystemRequest(machines=["pc3"])
        refused = await found.failure(found.system.ListSystem(asked_for))
        assert refused.reason == "MACHINE_UNKNOWN"
        assert not any(one.done for one in found.fleet.machines.values())


async def test_a_command_is_two_events(tmp_path: Path) -> None:
    """Before with who and why, and afterwards with what came of it, also where it was refused."""
    async with site(tmp_path) as found:
        await found.system.RunCommand(command("stop", "vision-face"))
        await found.failure(found.system.RunCommand(command("stop", "nobody-here", "two")))
        begun, ended, tried, refused = await found.recorded(4)
        assert (begun.request.author, begun.request.reason) == ("ann", "trying")
        assert begun.peer
        assert not begun.HasField("end_time")
        assert ended.HasField("end_time")
        assert [one.machine for one in ended.outcomes] == ["pc2"]
        assert not tried.refusal
        assert refused.refusal == "TARGET_UNKNOWN"


async def test_a_command_that_is_sent_again_is_not_done_again(tmp_path: Path) -> None:
    """Its first answer comes again, also from the next process; another one with its name is
    refused, and nothing is recorded twice.
    """
    async with site(tmp_path) as found:
        first = await found.system.RunCommand(command("restart", "text-tell"))
        again = await found.system.RunCommand(command("restart", "text-tell"))
        assert again.repeated_answer
        assert list(again.outcomes) == list(first.outcomes)
        refused = await found.failure(found.system.RunCommand(command("stop", "text-tell")))
        assert (refused.code, refused.reason) == (CODE.ALREADY_EXISTS, "REQUEST_ID_TAKEN")
        fleet = found.fleet
    async with site(tmp_path, fleet) as found:
        assert (await found.system.RunCommand(command("restart", "text-tell"))).repeated_answer
        assert len(await found.recorded(2)) == 2
        for machine in fleet.machines.values():
            assert machine.restarts == {"text-tell": 1}


async def test_a_command_goes_on_without_its_caller(tmp_path: Path) -> None:
    """Whoever asks again meanwhile hears the same outcome."""
    async with site(tmp_path) as found:
        slow = found.fleet.machines["pc2"]
        slow.answering.clear()
        hasty = found.system.RunCommand(command("stop", "vision-face"), timeout=0.2)
        assert (await found.failure(hasty)).code is CODE.DEADLINE_EXCEEDED
        patient = found.system.RunCommand(command("stop", "vision-face"), timeout=20)
        await found.recorded(1)
        slow.answering.set()
        assert [one.code for one in (await patient).outcomes] == [0]
        assert len(slow.done) == 1
        assert len(await found.recorded(2)) == 2


async def test_a_fleet_that_nobody_knows_is_said_to_be_out_of_reach(tmp_path: Path) -> None:
    """Until it was known once: then control may be away."""
    async with site(tmp_path) as found:
        found.fleet.is_known = False
        refused = await found.failure(found.system.RunCommand(command("stop", "text-tell")))
        assert (refused.code, refused.reason) == (CODE.UNAVAILABLE, "FLEET_UNREACHABLE")
        found.fleet.is_known = True
        assert (await found.system.RunCommand(command("stop", "text-tell"))).outcomes
        found.fleet.is_known = False
        assert (await found.system.RunCommand(command("start", "text-tell", "two"))).outcomes


async def test_a_command_that_no_machine_heard_can_be_sent_again(tmp_path: Path) -> None:
    """Under its name: it was not done."""
    async with site(tmp_path) as found:
        for machine in found.fleet.machines.values():
            machine.is_supervised = False
        refused = await found.failure(found.system.RunCommand(command("stop", "text-tell")))
        assert (refused.code, refused.reason) == (CODE.UNAVAILABLE, "FLEET_UNREACHABLE")
        for machine in found.fleet.machines.values():
            machine.is_supervised = True
        done = await found.system.RunCommand(command("stop", "text-tell"))
        assert [one.code for one in done.outcomes] == [0, 0]
        begun, ended = await found.recorded(2)
        assert not begun.HasField("end_time")
        assert len(ended.outcomes) == 2


def test_states_and_verbs_are_called_alike_by_both_families() -> None:
    """What a supervisor says and is told has one name over all machines."""
    states = _bare(pb.RunState.DESCRIPTOR, "RUN_STATE_")
    assert _bare(control.HostState.DESCRIPTOR, "HOST_STATE_") <= states
    assert _bare(control.AgentState.DESCRIPTOR, "AGENT_STATE_") <= states
    verbs = _bare(pb.SystemVerb.DESCRIPTOR, "SYSTEM_VERB_")
    assert verbs == _bare(control.Verb.DESCRIPTOR, "VERB_")


def _bare(enum: EnumDescriptor, prefix: str) -> set[str]:
    return {name.removeprefix(prefix) for name in enum.values_by_name}
