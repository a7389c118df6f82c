"""Evidence, packed into the room that there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.memory.answer.evidence import Evidence
from tandem.memory.v1 import context_assembler_service_pb2 as pb
from tandem.memory.v1 import context_assembler_service_pb2_grpc as rpc


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a piece of evidence; `start` counts in what the evidence's span does."""

    evidence: Evidence
    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Context:
    """`text` is all of it, each part behind its mark."""

    parts: Sequence[Part]
    text: str
    tokens: int


class Packer:
    """Over the agent that packs."""

    def __init__(self, assembler: rpc.ContextAssemblerServiceAsyncStub) -> None:
        self._assembler = assembler

    async def pack(self, question: str, evidence: Sequence[Evidence], tokens_max: int) -> Context:
        """What fits, the best first. Raises grpc.aio.AioRpcError."""
        if not evidence:
            return Context((), "", 0)
        request = pb.AssembleContextRequest(query=question, tokens_max=tokens_max)
        for one in evidence:
            candidate = request.candidates.add(name=one.name, text=one.text, score=one.score)
            if one.time_ns is not None:
                candidate.time.FromNanoseconds(one.time_ns)
        made = await self._assembler.AssembleContext(request)
        named = {one.name: one for one in evidence}
        return Context([_part(named, one) for one in made.parts], made.text, made.tokens)


def _part(named: dict[str, Evidence], told: pb.ContextPart) -> Part:
    evidence = named[told.window.name]
    return Part(evidence, told.text, evidence.start + told.window.start_char)
