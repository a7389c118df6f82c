"""What is asked of a machine's supervisor, as events: tandem.control.v1.MachineEvent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from google.protobuf.message import Message
from google.rpc import code_pb2

from tandem.control.v1 import machine_event_pb2 as pb
from tandem.control.v1 import machine_pb2 as nouns
from tandem.control.v1 import traffic_policy_pb2 as policy
from tandemkit.core.clock import Clock
from tandemkit.core.errors import Failure
from tandemkit.machine.asking import HostRefused
from tandemkit.machine.commands import Command, Done


class Recorder(Protocol):
    """Where events are kept. Both raise Unreachable."""

    def note(self, content: Message) -> None:
        """Soon, without waiting."""

    async def keep(self, content: Message) -> None:
        """On disk when it returns."""


class Notes:
    """The events of one machine."""

    def __init__(self, recorder: Recorder, machine: str, clock: Clock) -> None:
        self._recorder, self._machine, self._clock = recorder, machine, clock

    def applied(
        self, wanted: nouns.WantedMachine, changes: Sequence[nouns.PlannedChange], peer: str
    ) -> None:
        event = self._event(wanted.note, peer)
        said = event.plan_applied
        said.profile, said.generation = wanted.plan.profile, wanted.generation
        said.changes.extend(one for one in changes if one.deed != nouns.DEED_KEEP)
        self._recorder.note(event)

    def began(self, wanted: nouns.WantedMachine, pid: int, adopted: Sequence[str]) -> None:
        """One life of the supervisor. Where nothing ran, what is wanted is deployed by it."""
        event = self._event(wanted.note, "")
        event.supervisor_begun.pid = pid
        event.supervisor_begun.adopted_hosts.extend(adopted)
        self._recorder.note(event)
        if not adopted:
            (machine,) = (one for one in wanted.plan.machines if one.name == self._machine)
            why = "nothing ran here"
            changes = [
                nouns.PlannedChange(host=host.name, deed=nouns.DEED_START, why=why)
                for host in machine.hosts
                if host.name not in wanted.stopped_hosts
            ]
            self.applied(wanted, changes, "")

    async def begun(self, command: Command) -> None:
        event = self._event(command.note, command.peer)
        said = event.command_begun
        said.request_id, said.verb = command.request_id, command.verb
        said.target = command.target
        await self._recorder.keep(event)

    def ended(self, command: Command, done: Done | Failure) -> None:
        event = self._event(command.note, command.peer)
        said = event.command_ended
        said.request_id, said.verb = command.request_id, command.verb
        said.target = command.target
        if isinstance(done, Done):
            said.hosts.extend(done.hosts)
            said.agents.extend(done.agents)
            said.was_so_already = done.was_so_already
        elif isinstance(done, HostRefused):
            said.code = cast("code_pb2.Code.ValueType", done.code.value[0])
            said.reason = done.reason
        else:
            said.code = code_pb2.INTERNAL
        self._recorder.note(event)

    async def checkpointed(
        self,
        said: pb.CheckpointTaken | pb.CheckpointRestored,
        note: policy.ChangeNote,
        peer: str = "",
    ) -> None:
        """On disk when it returns. Raises Unreachable."""
        event = self._event(note, peer)
        if isinstance(said, pb.CheckpointTaken):
            event.checkpoint_taken.CopyFrom(said)
        else:
            event.checkpoint_restored.CopyFrom(said)
        await self._recorder.keep(event)

    def shutting_down(self, note: policy.ChangeNote, peer: str) -> None:
        event = self._event(note, peer)
        event.shut_down_begun.SetInParent()
        self._recorder.note(event)

    def _event(self, note: policy.ChangeNote, peer: str) -> pb.MachineEvent:
        event = pb.MachineEvent(machine=self._machine, note=note, peer=peer)
        event.time.FromDatetime(self._clock.now())
        return event
