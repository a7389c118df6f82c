"""A checkpoint and a restore are events of their machine: its supervisor records them, or, where
none runs, they wait in its outbox for the next one.
"""

from __future__ import annotations

import grpc

from tandem.control.v1 import machine_event_pb2 as events
from tandem.control.v1 import machine_service_pb2 as pb
from tandem.control.v1.traffic_policy_pb2 import ChangeNote
from tandemkit.cli.following import answering
from tandemkit.core.clock import SystemClock
from tandemkit.core.errors import Failure
from tandemkit.hosting.child_events import Origin
from tandemkit.hosting.recording import Recorder
from tandemkit.machine.checkpoints.taking import machine_of
from tandemkit.machine.home import Home
from tandemkit.machine.noting import Notes
from tandemkit.rpc.remote import RemoteFailure
from tandemkit.storage.outbox import Outbox
from tandemkit.supervise.tasks import Tasks

_ANSWER_S = 3.0
_CLOCK = SystemClock()


async def unrecorded(
    home: Home, note: ChangeNote, said: events.CheckpointTaken | events.CheckpointRestored
) -> str:
    """Records it. Returns why it could not be recorded; empty where it was."""
    supervisor = home.supervisor
    try:
        if supervisor is not None and supervisor.look() is not None:
            await _told(home, note, said)
        elif machine := machine_of(home):
            await _kept(home, machine, note, said)
        else:
            return "no fleet has run in this home yet"
    except grpc.aio.AioRpcError as error:
        return f"the supervisor: {RemoteFailure.of(error).message}"
    except Failure as error:
        return str(error)
    return ""


async def _told(
    home: Home, note: ChangeNote, said: events.CheckpointTaken | events.CheckpointRestored
) -> None:
    request = pb.RecordCheckpointRequest(note=note)
    if isinstance(said, events.CheckpointTaken):
        request.taken.CopyFrom(said)
    else:
        request.restored.CopyFrom(said)
    async with answering(home) as stub:
        await stub.RecordCheckpoint(request, timeout=_ANSWER_S, wait_for_ready=True)


async def _kept(
    home: Home,
    machine: str,
    note: ChangeNote,
    said: events.CheckpointTaken | events.CheckpointRestored,
) -> None:
    outbox = Outbox(home.outbox, _CLOCK)
    notes = Notes(Recorder(outbox, Origin(machine).stream), machine, _CLOCK)
    async with Tasks() as tasks:
        tasks.spawn("record:keep", outbox.run())
        await notes.checkpointed(said, note)
