"""Somebody whom workflows call, who notes each call and fails as he is told; and requests."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import grpc

from tandem.tasks.v1 import agent_call_pb2 as calls
from tandem.tasks.v1 import scheduler_service_pb2 as scheduler
from tandem.tasks.v1 import workflow_pb2 as nouns
from tandem.tasks.v1 import workflow_service_pb2 as pb
from tandem.utility.v1 import text_pb2 as text_nouns
from tandem.utility.v1 import toolbox_service_pb2 as utility
from tandemkit.hosting.agent import Agent
from tandemkit.hosting.agent_caller import KEY_HEADER
from tandemkit.testing.agents import fake_agent

SERVICE = "/tandem.utility.v1.ToolboxService"
# Neither idempotent nor a `request_id`.
ONCE = f"/{scheduler.DESCRIPTOR.services_by_name['SchedulerService'].full_name}/UpdateSchedule"


class Toolbox:
    """`came`: key and text of each call. `NormalizeText` answers the text in angle brackets."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str]] = []
        # How often the call of a key fails yet, and how.
        self.failing: dict[str, int] = defaultdict(int)
        self.code = grpc.StatusCode.UNAVAILABLE
        # Calls of these keys wait until they are let go.
        self.held: dict[str, asyncio.Event] = {}
        self.at_once = self.at_once_max = 0

    @property
    def agent(self) -> Agent:
        return fake_agent(
            utility.DESCRIPTOR, NormalizeText=self._normalize, SlugifyText=self._slugify
        )

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.came]

    def hold(self, key: str) -> asyncio.Event:
        return self.held.setdefault(key, asyncio.Event())

    async def _normalize(self, request: Any, context: Any) -> text_nouns.NormalizeTextResponse:
        await self._noted(request.text, context)
        return text_nouns.NormalizeTextResponse(text=f"<{request.text}>")

    async def _slugify(self, request: Any, context: Any) -> text_nouns.SlugifyTextResponse:
        await self._noted(request.text, context)
        return text_nouns.SlugifyTextResponse(slug=request.text)

    async def _noted(self, text: str, context: Any) -> None:
        key = dict(context.invocation_metadata())[KEY_HEADER]
        self.came.append((key, text))
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            if key in self.held:
                await self.held[key].wait()
            # Time for those who come at the same time to be seen.
            await asyncio.to_thread(lambda: None)
            if self.failing[key]:
                self.failing[key] -= 1
                await context.abort(self.code, "it was told to fail")
        finally:
            self.at_once -= 1


def call(text: str = "", method: str = "NormalizeText") -> calls.AgentCall:
    request = text_nouns.NormalizeTextRequest(text=text)
    return calls.AgentCall(method=f"{SERVICE}/{method}", request=request.SerializeToString())


def once() -> calls.AgentCall:
    """A call that bears no repetition."""
    request = scheduler.UpdateScheduleRequest(name="schedules/a", expected_version=1)
    request.plan.trigger.every.period.FromSeconds(60)
    request.plan.call.method = f"{SERVICE}/NormalizeText"
    return calls.AgentCall(method=ONCE, request=request.SerializeToString())


def node(name: str, *after: str, **more: Any) -> nouns.WorkflowNode:
    return nouns.WorkflowNode(**{"id": name, "call": call(name), "after": after, **more})


def undone(name: str, *after: str, **more: Any) -> nouns.WorkflowNode:
    """One with a way back."""
    return node(name, *after, compensation=call(f"undo {name}", "SlugifyText"), **more)


def value(of: str, taken: str, to: str) -> nouns.NodeInput:
    said = nouns.NodeInput(node=of, to=to)
    setattr(said, "from", taken)
    return said


def start(name: str, *nodes: nouns.WorkflowNode, **more: Any) -> pb.StartWorkflowRequest:
    plan = nouns.WorkflowPlan(nodes=nodes, **more)
    return pb.StartWorkflowRequest(workflow_id=name, plan=plan)
