"""What runs on all machines of the fleet, and commands to it. Contract:
tandem.platform.v1.SystemService.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import grpc
from google.rpc import code_pb2

from services.platform.system.commands import Commands
from services.platform.system.machines import Machines, Refused
from services.platform.system.recent import Recent
from services.platform.system.servicer import System
from tandem.control.v1 import fleet_status_service_pb2 as fleet
from tandem.control.v1 import fleet_status_service_pb2_grpc as fleet_rpc
from tandem.control.v1 import machine_pb2 as control
from tandem.control.v1 import machine_service_pb2 as machine
from tandem.control.v1 import machine_service_pb2_grpc as machine_rpc
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandem.platform.v1 import event_store_service_pb2 as events
from tandem.platform.v1 import event_store_service_pb2_grpc as events_rpc
from tandem.platform.v1 import system_service_pb2 as pb
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.projection import Projection
from tandemkit.hosting.recording import recording
from tandemkit.hosting.scope import Scope
from tandemkit.rpc.remote import RemoteFailure

_STREAM = "commands"
_INSTANCE = "x-tandem-instance"
_SUPERVISOR = machine.DESCRIPTOR.services_by_name["MachineService"].full_name
# Shorter than the own methods' deadlines: what one machine does not answer, the others do.
_LOOK_WITHIN_S, _DONE_WITHIN_S = 3.0, 25.0


class StubbedSupervisors:
    """The supervisors behind the mesh, each by the name of its instance."""

    def __init__(self, machines: machine_rpc.MachineServiceStub, fleet_status: Any) -> None:
        self._machines: Any = machines
        self._fleet = fleet_status

    async def machines(self) -> Mapping[str, bool]:
        found: dict[str, bool] = {}
        request = fleet.ListAgentsRequest(page_size=1000)
        with _answering():
            while True:
                page = await self._fleet.ListAgents(request, timeout=_LOOK_WITHIN_S)
                for agent in page.agents:
                    for one in agent.instances:
                        is_supervisor = agent.service == _SUPERVISOR
                        found[one.machine] = found.get(one.machine, False) or is_supervisor
                request.page_token = page.next_page_token
                if not page.next_page_token:
                    return found

    async def look(self, name: str) -> control.Machine:
        with _answering():
            answer: machine.GetMachineResponse = await self._machines.GetMachine(
                machine.GetMachineRequest(), metadata=_to(name), timeout=_LOOK_WITHIN_S
            )
        return answer.machine

    async def command(self, name: str, request: pb.RunCommandRequest) -> pb.MachineOutcome:
        verb = pb.SystemVerb.Name(request.verb).removeprefix("SYSTEM_")
        asked = machine.RunCommandRequest(
            verb=control.Verb.Value(verb),
            target=request.target,
            note=policy.ChangeNote(author=request.author, reason=request.reason),
            request_id=request.request_id,
        )
        with _answering():
            done = await self._machines.RunCommand(
                asked, metadata=_to(name), timeout=_DONE_WITHIN_S
            )
        return pb.MachineOutcome(
            machine=name,
            hosts=done.hosts,
            agents=done.agents,
            was_so_already=done.was_so_already,
        )


def _to(machine_name: str) -> tuple[tuple[str, str], ...]:
    return ((_INSTANCE, f"control-machine-{machine_name}"),)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except grpc.aio.AioRpcError as error:
        found = RemoteFailure.of(error)
        code = cast("code_pb2.Code.ValueType", found.code.value[0])
        message = found.message or found.code.name
        if found.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            message = "it did not answer in time"
        raise Refused(code, found.reason, message, found.metadata.get("near", "")) from error


@asynccontextmanager
async def build(scope: Scope, _settings: None) -> AsyncIterator[System]:
    state = await scope.state()
    machines = Machines(
        StubbedSupervisors(
            scope.stub(machine_rpc.MachineServiceStub),
            scope.stub(fleet_rpc.FleetStatusServiceStub),
        )
    )
    store = scope.stub(events_rpc.EventStoreServiceStub)
    recent = Projection(store, _STREAM, Recent(), Recent.heard, scope.clock)
    scope.spawn("recent", recent.keep())
    # What was recorded and not sent yet survives the agent beside its state.
    async with recording(scope.state_dir / "commands.outbox", _STREAM, store, scope.clock) as kept:
        commands = Commands(machines, state, kept, scope.clock)
        await commands.begin()
        try:
            yield System(machines, commands, recent)
        finally:
            await commands.end()


AGENT = Agent(
    contract=pb.DESCRIPTOR,
    # A machine or the event store may be away: what is there is still commanded.
    soft_calls=(machine.DESCRIPTOR, fleet.DESCRIPTOR, events.DESCRIPTOR),
    build=build,
)
main = AGENT.main
