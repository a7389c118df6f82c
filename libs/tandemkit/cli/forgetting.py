"""A deletion as the command line follows it, and what it says of one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC
from typing import Any

import grpc
from google.protobuf import json_format

from tandem.memory.v1 import deletion_pb2 as nouns
from tandem.memory.v1 import namespace_service_pb2 as pb
from tandem.memory.v1 import namespace_service_pb2_grpc as rpc
from tandemkit.core.clock import SystemClock
from tandemkit.machine.checkpoints.shelf import Kept, Shelf

_COMPLETE = nouns.DELETION_STATE_COMPLETE
_AGAIN_S, _ANSWER_WITHIN_S = 1.0, 10.0
_CLOCK = SystemClock()
_LOST = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
Show = Callable[[str], None]


async def asked(
    channel: grpc.aio.Channel, request: pb.ForgetSubjectRequest | pb.DeleteNamespaceRequest
) -> nouns.Deletion:
    """Raises grpc.RpcError."""
    stub: Any = rpc.NamespaceServiceStub(channel)
    if isinstance(request, pb.DeleteNamespaceRequest):
        answer = await stub.DeleteNamespace(request, timeout=_ANSWER_WITHIN_S)
    else:
        answer = await stub.ForgetSubject(request, timeout=_ANSWER_WITHIN_S)
    deletion: nouns.Deletion = answer.deletion
    return deletion


async def followed(channel: grpc.aio.Channel, begun: nouns.Deletion, show: Show) -> nouns.Deletion:
    """As it is when it is complete, also over restarts of the agent that sees it through."""
    last, told = begun, set[str]()
    while last.state != _COMPLETE:
        try:
            async for now in _watched(channel, begun.name):
                last = now
                for line in progress_of(now):
                    if line not in told:
                        told.add(line)
                        show(line)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _LOST:
                raise
            show("the namespaces' agent is away; the deletion goes on when it is back")
            await _CLOCK.sleep(_AGAIN_S)
    return last


async def _watched(channel: grpc.aio.Channel, name: str) -> AsyncIterator[nouns.Deletion]:
    stub: Any = rpc.NamespaceServiceStub(channel)
    async for told in stub.WatchDeletion(pb.WatchDeletionRequest(name=name)):
        yield told.deletion


def progress_of(deletion: nouns.Deletion) -> list[str]:
    """A line for each agent, and what it waits for."""
    lines = []
    for one in deletion.keepers:
        if one.cause:
            lines.append(f"waiting for {_called(one)}: {one.cause}")
        elif one.confirmations:
            lines.append(f"{_called(one)} confirmed, {one.deleted} deleted")
    return lines


def holding(shelf: Shelf, deletion: nouns.Deletion) -> list[Kept]:
    """The checkpoints from before its end: they may hold what was deleted."""
    end_ns = deletion.complete_time.ToNanoseconds()
    return [one for one in shelf.all() if one.manifest.time.ToNanoseconds() < end_ns]


def value_of(
    deletion: nouns.Deletion, held: Sequence[str], deleted: Sequence[str]
) -> dict[str, Any]:
    """For --json."""
    told = json_format.MessageToDict(deletion, preserving_proto_field_name=True)
    for name in ("salt", "subject_digest"):
        told.pop(name, None)
    return {**told, "checkpoints_held": list(held), "checkpoints_deleted": list(deleted)}


def screen(deletion: nouns.Deletion, held: Sequence[str], deleted: Sequence[str]) -> str:
    count = sum(one.deleted for one in deletion.keepers)
    if deletion.state != _COMPLETE:
        return f"{deletion.name} is under way, and goes on by itself"
    agents = sum(1 for one in deletion.keepers if not one.excused)
    moment = deletion.complete_time.ToDatetime(tzinfo=UTC).astimezone()
    lines = [f"{deletion.name}: {count} deleted, confirmed by {agents} agents, {moment:%H:%M:%S}"]
    lines += [f"remains: {one}" for one in deletion.remains]
    if deleted:
        lines.append(f"deleted checkpoints: {', '.join(deleted)}")
    if held:
        lines.append(f"checkpoints from before, which may hold it: {', '.join(held)}")
        lines.append("./tandem checkpoint delete NAME, or --checkpoints the next time, ends that")
    return "\n".join(lines)


def _called(standing: nouns.KeeperStanding) -> str:
    name = standing.instance or standing.agent.rpartition(".")[2].removesuffix("Service")
    return f"{name} on {standing.machine}"
