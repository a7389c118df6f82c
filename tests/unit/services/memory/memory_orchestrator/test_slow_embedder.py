"""An EmbeddingService that does not answer, and what it may cost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from services.memory.memory_orchestrator.agent import AGENT
from tandem.memory.v1 import embedding_service_pb2 as embedding
from tandem.memory.v1 import memory_orchestrator_service_pb2 as pb
from tandem.memory.v1 import memory_orchestrator_service_pb2_grpc as rpc
from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.testing.agents import fake_agent, serving


async def test_a_slow_embedder_has_a_share_of_the_time_and_costs_no_answer(tmp_path: Path) -> None:
    """What is left is enough to find by words."""
    left_s: list[float] = []

    async def never(_request: Any, context: Any) -> embedding.EmbedTextsResponse:
        left_s.append(context.time_remaining())
        await asyncio.Event().wait()
        return embedding.EmbedTextsResponse()

    beside = (fake_agent(embedding.DESCRIPTOR, EmbedTexts=never),)
    async with serving(AGENT, beside=beside, state_dir=tmp_path) as channel:
        stub: Any = rpc.MemoryOrchestratorServiceStub(channel)
        said = nouns.Memory(text="The key is under the stone.")
        await stub.AddMemory(pb.AddMemoryRequest(memory=said))
        request = pb.SearchMemoriesRequest(query="key")
        # The memory itself is embedded behind its write, in the embedder's own time.
        left_s.clear()
        found = await stub.SearchMemories(request, timeout=1.5)
    assert [one.memory.text for one in found.hits] == [said.text]
    assert found.degraded
    assert min(left_s) < 0.7
