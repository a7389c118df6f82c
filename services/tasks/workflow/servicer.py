"""Messages to workflows and back. Contract: tandem.tasks.v1.WorkflowService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from services.tasks.workflow import course
from services.tasks.workflow.admission import admit
from services.tasks.workflow.execution import Caller
from services.tasks.workflow.running import Running
from services.tasks.workflow.shelf import Shelf, id_of
from tandem.tasks.v1 import errors_pb2 as errors
from tandem.tasks.v1 import workflow_pb2 as nouns
from tandem.tasks.v1 import workflow_service_pb2 as pb
from tandem.tasks.v1 import workflow_service_pb2_grpc as rpc
from tandemkit.core.clock import Clock
from tandemkit.core.errors import CallerError
from tandemkit.hosting import refusing
from tandemkit.rpc.context import Context
from tandemkit.rpc.paging import token_after

_PAGE, _PAGE_MAX = 20, 100
_STORING = partial(
    refusing.storing, errors.ERROR_REASON_STORE_UNREACHABLE, errors.ERROR_REASON_STORE_DAMAGED
)


class Workflows(rpc.WorkflowServiceServicer):
    def __init__(self, running: Running, shelf: Shelf, caller: Caller, clock: Clock) -> None:
        self._running, self._shelf, self._caller, self._clock = running, shelf, caller, clock

    async def StartWorkflow(
        self, request: pb.StartWorkflowRequest, _context: Context
    ) -> pb.StartWorkflowResponse:
        await admit(request.plan, self._caller)
        name = course.PREFIX + request.workflow_id
        with _STORING():
            found = await self._running.start(course.begun(name, request.plan, self._clock.now()))
        if found.plan != request.plan:
            reason = errors.ERROR_REASON_WORKFLOW_EXISTS
            message = "another plan was started under that id"
            raise CallerError(reason, message, field="workflow_id", workflow=name)
        return pb.StartWorkflowResponse(workflow=found)

    async def GetWorkflow(
        self, request: pb.GetWorkflowRequest, _context: Context
    ) -> pb.GetWorkflowResponse:
        return pb.GetWorkflowResponse(workflow=await self._found(request.name))

    async def GetNodeOutput(
        self, request: pb.GetNodeOutputRequest, _context: Context
    ) -> pb.GetNodeOutputResponse:
        workflow = await self._found(request.name)
        with _STORING():
            response = await self._shelf.output(id_of(request.name), request.node)
        if response is None:
            states = {node.id: nouns.NodeState.Name(node.state) for node in workflow.nodes}
            state = states.get(request.node, "")
            reason, message = errors.ERROR_REASON_NODE_NOT_DONE, "the node has no response"
            raise CallerError(reason, message, field="node", node=request.node, state=state)
        return pb.GetNodeOutputResponse(response=response)

    async def WatchWorkflow(
        self, request: pb.WatchWorkflowRequest, _context: Context
    ) -> AsyncIterator[pb.WatchWorkflowResponse]:
        told = 0
        while True:
            turn = self._running.comings_and_goings.now()
            workflow = await self._found(request.name)
            if workflow.version != told:
                told = workflow.version
                yield pb.WatchWorkflowResponse(workflow=workflow)
            if course.has_ended(workflow):
                return
            execution = self._running.get(id_of(request.name))
            if execution is not None:
                await execution.changed(told)
            else:  # it is about to run, or has ended since it was looked at
                await turn.wait()

    async def ListWorkflows(
        self, request: pb.ListWorkflowsRequest, _context: Context
    ) -> pb.ListWorkflowsResponse:
        size = min(request.page_size or _PAGE, _PAGE_MAX)
        after = refusing.page_start(
            request.page_token, request.id_prefix, errors.ERROR_REASON_PAGE_TOKEN_INVALID
        )
        told = pb.ListWorkflowsResponse()
        with _STORING():
            # One more than the page has shows whether there is another.
            while len(told.workflows) <= size:
                limit = size + 1 - len(told.workflows)
                part = await self._shelf.page(request.id_prefix, after, limit)
                if not part:
                    return told
                told.workflows.extend(part)
                after = id_of(part[-1].name)
        del told.workflows[size:]
        told.next_page_token = token_after(id_of(told.workflows[-1].name), request.id_prefix)
        return told

    async def CancelWorkflow(
        self, request: pb.CancelWorkflowRequest, _context: Context
    ) -> pb.CancelWorkflowResponse:
        execution = self._running.get(id_of(request.name))
        if execution is not None:
            await execution.cancel(request.reason)
        return pb.CancelWorkflowResponse(workflow=await self._found(request.name))

    async def ResumeWorkflow(
        self, request: pb.ResumeWorkflowRequest, _context: Context
    ) -> pb.ResumeWorkflowResponse:
        workflow = await self._found(request.name)
        if workflow.state != nouns.WORKFLOW_STATE_COMPENSATING:
            with _STORING():
                found = await self._running.unstick(id_of(request.name))
            if found is None:
                state = nouns.WorkflowState.Name(workflow.state)
                reason = errors.ERROR_REASON_WORKFLOW_NOT_STUCK
                message = "no compensation of the workflow failed for good"
                raise CallerError(reason, message, workflow=request.name, state=state)
            workflow = found
        return pb.ResumeWorkflowResponse(workflow=workflow)

    async def _found(self, name: str) -> nouns.Workflow:
        execution = self._running.get(id_of(name))
        if execution is not None:
            return execution.told
        with _STORING():
            found = await self._shelf.get(id_of(name))
        if found is None:
            reason, message = errors.ERROR_REASON_WORKFLOW_NOT_FOUND, "there is no such workflow"
            raise CallerError(reason, message, field="name", name=name)
        return found
