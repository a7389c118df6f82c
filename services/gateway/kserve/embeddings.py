"""Models of tandem.memory.v1.EmbeddingService: texts in, a vector for each out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from inference.tensor_pb2 import InferTensorContents
from services.gateway.kserve.models import LISTING_S, Asked, Given, Model
from services.gateway.kserve.parameters import check_known, chosen
from services.gateway.kserve.refusal import bad_tensor
from services.gateway.kserve.tensors import ANY, BYTES, Form
from tandem.memory.v1 import embedding_pb2 as nouns
from tandem.memory.v1 import embedding_service_pb2 as pb
from tandem.memory.v1 import embedding_service_pb2_grpc as rpc
from tandemkit.rpc.remote import calling

INPUT, OUTPUT = "text", "embedding"
_PLATFORM: Final = "tandem_embedding"
_PURPOSE: Final = "purpose"
_PURPOSES: Final = {
    "passage": pb.EMBEDDING_PURPOSE_PASSAGE,
    "query": pb.EMBEDDING_PURPOSE_QUERY,
}
# As the agent's contract has it, whose refusal would not say which text it is about.
_TEXTS_MAX: Final = 256
_TEXT_BYTES_MAX: Final = 65536
# A server that does not say which version it has still has one.
_SOME_VERSION: Final = "1"


@dataclass(frozen=True, slots=True)
class Vectors:
    """Numbers of 32 bits, a row for each text."""

    rows: Sequence[nouns.Embedding]
    datatype: str = "FP32"

    @property
    def shape(self) -> Sequence[int]:
        return (len(self.rows), len(self.rows[0].values))

    def raw(self) -> bytes:
        # A message of nothing but packed floats ends with them as the protocol wants them.
        return b"".join(one.SerializeToString()[-4 * len(one.values) :] for one in self.rows)

    def fill(self, contents: InferTensorContents) -> None:
        for one in self.rows:
            contents.fp32_contents.MergeFrom(one.values)


class Embeddings:
    def __init__(self, service: rpc.EmbeddingServiceAsyncStub) -> None:
        self._service = service

    async def models(self) -> Sequence[Model]:
        with calling():
            told = await self._service.ListEmbeddingModels(
                pb.ListEmbeddingModelsRequest(), timeout=LISTING_S
            )
        return [_shown(one) for one in told.models]

    async def answer(self, asked: Asked) -> Given:
        request = pb.EmbedTextsRequest(
            model=asked.model.name,
            texts=_texts(asked.inputs[INPUT]),
            purpose=_purpose(asked),
        )
        how = asked.parameters
        with calling():
            made = await self._service.EmbedTexts(
                request, timeout=how.within_s, metadata=how.headers
            )
        version = made.space.version or _SOME_VERSION
        return Given({OUTPUT: Vectors(made.embeddings)}, version, len(made.embeddings))

    async def answers(self, asked: Asked) -> AsyncGenerator[Given, None]:
        yield await self.answer(asked)

    async def load(self, model: Model) -> None:
        """The first text loads it."""
        keep = pb.EMBEDDING_KEEP_NEVER
        with calling():
            await self._service.EmbedTexts(
                pb.EmbedTextsRequest(model=model.name, texts=["load"], keep=keep)
            )


def _shown(told: nouns.EmbeddingModel) -> Model:
    space = told.space
    return Model(
        name=space.model,
        version=space.version or _SOME_VERSION,
        platform=_PLATFORM,
        inputs=(Form(INPUT, BYTES, (ANY,)),),
        outputs=(Form(OUTPUT, "FP32", (ANY, space.dimension or ANY)),),
        unready_cause=told.unavailable_cause,
    )


def _purpose(asked: Asked) -> pb.EmbeddingPurpose.ValueType:
    check_known(asked.parameters.own, (_PURPOSE,))
    return pb.EmbeddingPurpose.ValueType(chosen(asked.parameters.own, _PURPOSE, _PURPOSES))


def _texts(sent: Sequence[bytes]) -> list[str]:
    if len(sent) > _TEXTS_MAX:
        said = f"input `{INPUT}` has {len(sent)} texts; a request takes {_TEXTS_MAX} at most"
        raise bad_tensor(said, INPUT, texts_max=_TEXTS_MAX)
    return [_text(one, place) for place, one in enumerate(sent)]


def _text(sent: bytes, place: int) -> str:
    if len(sent) > _TEXT_BYTES_MAX:
        said = f"text {place} of input `{INPUT}` has {len(sent)} bytes; a text has"
        raise bad_tensor(f"{said} {_TEXT_BYTES_MAX} at most", INPUT, place=place)
    try:
        found = sent.decode()
    except UnicodeDecodeError as error:
        said = f"text {place} of input `{INPUT}` is no UTF-8"
        raise bad_tensor(said, INPUT, place=place) from error
    if not found.strip():
        raise bad_tensor(f"text {place} of input `{INPUT}` has nothing in it", INPUT, place=place)
    return found
