"""Messages to the desk and back. Contract: tandem.tasks.v1.AssignmentService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from services.tasks.assignment.desk import Desk
from services.tasks.assignment.refusal import answering, check_names
from tandem.tasks.v1 import assignment_service_pb2 as pb
from tandem.tasks.v1 import assignment_service_pb2_grpc as rpc
from tandemkit.rpc.context import Context


class Assignments(rpc.AssignmentServiceServicer):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def AssignTasks(
        self, request: pb.AssignTasksRequest, _context: Context
    ) -> pb.AssignTasksResponse:
        check_names(request)
        with answering():
            return pb.AssignTasksResponse(assignment=await self._desk.assign(request))

    async def GetAssignment(
        self, request: pb.GetAssignmentRequest, _context: Context
    ) -> pb.GetAssignmentResponse:
        return pb.GetAssignmentResponse(assignment=self._desk.found(request.name))

    async def WatchAssignment(
        self, request: pb.WatchAssignmentRequest, _context: Context
    ) -> AsyncIterator[pb.WatchAssignmentResponse]:
        told = 0
        with self._desk.news.heard() as changed:
            while True:
                changed.clear()
                found = self._desk.found(request.name)
                if found.version != told:
                    told = found.version
                    yield pb.WatchAssignmentResponse(assignment=found)
                await changed.wait()

    async def CompleteTasks(
        self, request: pb.CompleteTasksRequest, _context: Context
    ) -> pb.CompleteTasksResponse:
        with answering():
            left = await self._desk.complete(request.name, request.task_ids)
        return pb.CompleteTasksResponse(left=len(left.tasks))

    async def RenewAssignment(
        self, request: pb.RenewAssignmentRequest, _context: Context
    ) -> pb.RenewAssignmentResponse:
        return pb.RenewAssignmentResponse(assignment=self._desk.renew(request.name))

    async def ReleaseAssignment(
        self, request: pb.ReleaseAssignmentRequest, _context: Context
    ) -> pb.ReleaseAssignmentResponse:
        with answering():
            await self._desk.release(request.name)
        return pb.ReleaseAssignmentResponse()

    async def ReportWorkerLost(
        self, request: pb.ReportWorkerLostRequest, _context: Context
    ) -> pb.ReportWorkerLostResponse:
        with answering():
            found = await self._desk.lose(request.name, request.worker)
        return pb.ReportWorkerLostResponse(assignment=found)
