"""A coordinator beside agents that say what a test has them say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from services.language.request_coordinator.agent import AGENT
from services.utility.toolbox.agent import AGENT as TOOLBOX
from tandem.control.v1 import fleet_status_service_pb2 as status
from tandem.language.v1 import request_coordinator_service_pb2 as pb
from tandem.language.v1 import request_coordinator_service_pb2_grpc as rpc
from tandem.memory.v1 import answer_service_pb2 as answering
from tandem.memory.v1 import citation_pb2 as citation
from tandem.memory.v1 import errors_pb2 as errors
from tandem.memory.v1 import knowledge_base_service_pb2 as knowledge
from tandem.memory.v1 import memory_orchestrator_service_pb2 as memory
from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import errors_pb2 as model_errors
from tandem.models.v1 import model_pb2 as model
from tandem.models.v1 import model_service_pb2 as models
from tandemkit.core.errors import CallerError, TransientError
from tandemkit.hosting.agent import Agent
from tandemkit.testing.agents import fake_agent, serving

Method: TypeAlias = Callable[[Any, Any], Any]
Stream: TypeAlias = Callable[[Any, Any], AsyncIterator[Any]]
AWAY_S = 0.05
SAID = "Pumps are fine machines."
TEXT = "A pump is primed with water. Wax closes a leak."


class Beside:
    """What the agents beside it do; a test puts other methods in their places."""

    def __init__(self) -> None:
        self.metadata: list[dict[str, str]] = []
        self.kept: list[memory.AddMemoryRequest] = []
        self.asked: list[knowledge.AskRequest] = []
        self.documents: Method = self.find_passage
        self.memories: Method = self.recall_nothing
        self.fleet: Method = self.list_agents
        self.keep: Method = self.add_memory
        self.model: Stream = self.speak
        # Whether there is a language model to write what documents say.
        self.writes = False
        self.said = SAID
        self.conversations: list[models.StreamChatRequest] = []

    async def find_passage(self, request: knowledge.AskRequest, context: Any) -> Any:
        self.asked.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        found = knowledge.AskResponse(answer=f"{TEXT} [1]", is_answered=True)
        found.kind = citation.ANSWER_KIND_EXTRACTIVE
        one = found.citations.add(number=1, uri="pumps.md", quote=TEXT, headings=["Pumps"])
        one.name = "namespaces/default/documents/pumps/passages/1"
        one.span.end_char = len(TEXT)
        return found

    async def find_no_passage(self, _request: Any, _context: Any) -> Any:
        return knowledge.AskResponse(kind=citation.ANSWER_KIND_EXTRACTIVE)

    async def recall_nothing(self, _request: Any, _context: Any) -> Any:
        return answering.AnswerQuestionResponse(kind=citation.ANSWER_KIND_EXTRACTIVE)

    async def recall(self, _request: Any, _context: Any) -> Any:
        said = "The wax is in the blue cupboard."
        found = answering.AnswerQuestionResponse(answer=f"{said} [1]", is_answered=True)
        found.kind = citation.ANSWER_KIND_EXTRACTIVE
        found.citations.add(number=1, name="namespaces/default/memories/m1", quote=said)
        return found

    async def add_memory(self, request: memory.AddMemoryRequest, _context: Any) -> Any:
        self.kept.append(request)
        added = memory.AddMemoryResponse(memory=request.memory)
        added.memory.name = f"namespaces/{request.namespace}/memories/{request.memory_id}"
        return added

    async def list_agents(self, _request: Any, _context: Any) -> Any:
        found = status.ListAgentsResponse()
        well = found.agents.add(service="tandem.tale.v1.TellService", short_name="tale-tell")
        well.instances.add(host="hosts/a", machine="laptop", serving=True)
        found.agents.add(service="tandem.tale.v1.PaintService", short_name="tale-paint")
        return found

    async def speak(self, request: models.StreamChatRequest, _context: Any) -> AsyncIterator[Any]:
        self.conversations.append(request)
        answerer = chat.Answerer(backend="parrot", model="grey", is_generative=True)
        yield models.StreamChatResponse(answerer=answerer, resume_token="0")
        words = self.said.split(" ")
        for number in range(int(request.resume_token or 0), len(words)):
            word = words[number]
            text = f"{' ' if number else ''}{word}"
            yield models.StreamChatResponse(text=text, resume_token=str(number + 1))
        yield models.StreamChatResponse(finish_reason=chat.FINISH_REASON_STOP, resume_token="end")

    async def quote_nothing(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        yield models.StreamChatResponse(answerer=chat.Answerer(backend="extractive"))
        yield models.StreamChatResponse(text="Nothing that is stored answers this.")

    async def stumble(self, request: models.StreamChatRequest, context: Any) -> AsyncIterator[Any]:
        """Dies after every second word."""
        heard = 0
        async for part in self.speak(request, context):
            yield part
            heard += bool(part.text)
            if heard == 2:
                raise _no_backend()

    async def break_off(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        if request.resume_token:
            reason = model_errors.ERROR_REASON_STREAM_NOT_RESUMABLE
            raise CallerError(reason, "the backend says something else now")
        answerer = chat.Answerer(backend="parrot", model="grey", is_generative=True)
        yield models.StreamChatResponse(text="Half of", resume_token="1", answerer=answerer)
        raise _no_backend()

    async def say_nothing(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        if request is not None:
            raise _no_backend()
        yield


async def full(_request: Any, _context: Any) -> Any:
    raise CallerError(errors.ERROR_REASON_MEMORY_FULL, "the index has no room")


def _no_backend() -> TransientError:
    reason = model_errors.ERROR_REASON_BACKEND_UNREACHABLE
    return TransientError(reason, "the model's server is away", retry_after_s=AWAY_S)


async def away(_request: Any, _context: Any) -> Any:
    reason = errors.ERROR_REASON_STORE_UNREACHABLE
    raise TransientError(reason, "the store is away", retry_after_s=AWAY_S)


async def silent(_request: Any, _context: Any) -> Any:
    await asyncio.Event().wait()


def _whoever(beside: Beside, name: str) -> Method:
    """The method that is there when the call comes."""

    async def answer(request: Any, context: Any) -> Any:
        return await getattr(beside, name)(request, context)

    return answer


@asynccontextmanager
async def coordinating(
    folder: Path, beside: Beside, *more: Agent
) -> AsyncIterator[rpc.RequestCoordinatorServiceAsyncStub]:
    agents: tuple[Agent, ...] = (
        fake_agent(knowledge.DESCRIPTOR, Ask=_whoever(beside, "documents")),
        fake_agent(answering.DESCRIPTOR, AnswerQuestion=_whoever(beside, "memories")),
        fake_agent(memory.DESCRIPTOR, AddMemory=_whoever(beside, "keep")),
        fake_agent(status.DESCRIPTOR, ListAgents=_whoever(beside, "fleet")),
    )

    async def stream_chat(request: Any, context: Any) -> AsyncIterator[Any]:
        async for part in beside.model(request, context):
            yield part

    async def get_model(_request: Any, _context: Any) -> Any:
        return models.GetModelResponse(model=model.Model(is_generative=beside.writes))

    speaker = fake_agent(models.DESCRIPTOR, StreamChat=stream_chat, GetModel=get_model)
    agents += (speaker, TOOLBOX, *more)
    async with serving(AGENT, beside=agents, state_dir=folder) as channel:
        yield rpc.RequestCoordinatorServiceStub(channel)


async def events(stream: Any) -> list[pb.StreamAskResponse]:
    return [one async for one in stream]
