"""Messages to vectors and back. Contract: tandem.memory.v1.EmbeddingService."""

from __future__ import annotations

from collections.abc import Mapping

from services.memory.embedding.desk import Keep
from services.memory.embedding.models import Model
from services.memory.embedding.refusal import embedding, of_another_space, unknown
from tandem.memory.v1 import embedding_pb2 as nouns
from tandem.memory.v1 import embedding_service_pb2 as pb
from tandem.memory.v1 import embedding_service_pb2_grpc as rpc
from tandemkit.hosting import access
from tandemkit.ml.embedding.protocol import Embedder, Lane, Purpose, Space
from tandemkit.reach.failure import Refused
from tandemkit.rpc.context import Context
from tandemkit.rpc.current import SERVING
from tandemkit.rpc.priority import Priority

_PURPOSES: Mapping[pb.EmbeddingPurpose.ValueType, Purpose] = {
    pb.EMBEDDING_PURPOSE_QUERY: Purpose.QUERY,
}
_KEEPS: Mapping[pb.EmbeddingKeep.ValueType, Keep] = {
    pb.EMBEDDING_KEEP_NEVER: Keep.NEVER,
    pb.EMBEDDING_KEEP_MACHINE: Keep.MACHINE,
}


class Embeddings(rpc.EmbeddingServiceServicer):
    def __init__(self, models: Mapping[str, Model]) -> None:
        """The first model is the default."""
        self._models = models

    async def EmbedTexts(
        self, request: pb.EmbedTextsRequest, _context: Context
    ) -> pb.EmbedTextsResponse:
        keep = _KEEPS.get(request.keep, Keep.PROCESS)
        if keep is Keep.MACHINE:
            access.check_fleet()
        model = self._model(request.model)
        wanted, embedder = _asked(request), model.desk.embedder
        _check(wanted, embedder.space)
        purpose = _PURPOSES.get(request.purpose, Purpose.PASSAGE)
        with embedding():
            texts = [embedder.phrased(text, purpose) for text in request.texts]
            found = await model.desk.embed(texts, _lane(), keep)
        space = embedder.space
        _check(wanted, space)
        return pb.EmbedTextsResponse(
            space=_said(space),
            embeddings=(nouns.Embedding(values=one.vector) for one in found),
            tokens=(one.tokens for one in found),
            is_truncated=(one.is_truncated for one in found),
        )

    async def ListEmbeddingModels(
        self, _request: pb.ListEmbeddingModelsRequest, _context: Context
    ) -> pb.ListEmbeddingModelsResponse:
        default = next(iter(self._models))
        return pb.ListEmbeddingModelsResponse(
            models=[
                nouns.EmbeddingModel(
                    space=_said(one.desk.embedder.space),
                    backend=one.backend,
                    is_loaded=one.desk.embedder.is_loaded,
                    is_default=one.name == default,
                    unavailable_cause=await _why_not(one.desk.embedder),
                    tokens_max=one.desk.embedder.tokens_max,
                )
                for one in self._models.values()
            ]
        )

    def _model(self, name: str) -> Model:
        found = self._models.get(name or next(iter(self._models)))
        if found is None:
            raise unknown(name, self._models)
        return found


def _lane() -> Lane:
    """Where the call that is being served waits."""
    serving = SERVING.get()
    is_bulk = serving is not None and serving.priority is Priority.BATCH
    return Lane.BULK if is_bulk else Lane.PROMPT


def _asked(request: pb.EmbedTextsRequest) -> Space | None:
    said = request.space
    return Space(said.model, said.version, said.dimension) if request.HasField("space") else None


def _check(wanted: Space | None, ours: Space) -> None:
    """A dimension that is not known yet is judged when it is."""
    if wanted is not None and ours.dimension and wanted != ours:
        raise of_another_space(wanted, ours)


async def _why_not(embedder: Embedder) -> str:
    try:
        await embedder.check()
    except Refused as error:
        return error.message
    return ""


def _said(space: Space) -> nouns.EmbeddingSpace:
    return nouns.EmbeddingSpace(model=space.model, version=space.version, dimension=space.dimension)
