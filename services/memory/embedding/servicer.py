"""Messages to vectors and back. Contract: tandem.memory.v1.EmbeddingService."""

from __future__ import annotations

from collections.abc import Mapping

from services.memory.embedding.models import Model
from tandem.memory.v1 import embedding_pb2 as nouns
from tandem.memory.v1 import embedding_service_pb2 as pb
from tandem.memory.v1 import embedding_service_pb2_grpc as rpc
from tandem.memory.v1 import errors_pb2 as errors
from tandemkit.core.errors import CallerError
from tandemkit.ml.embedding.protocol import Purpose, Space
from tandemkit.rpc.context import Context

_PURPOSES: Mapping[pb.EmbeddingPurpose.ValueType, Purpose] = {
    pb.EMBEDDING_PURPOSE_QUERY: Purpose.QUERY,
}


class Embeddings(rpc.EmbeddingServiceServicer):
    def __init__(self, models: Mapping[str, Model]) -> None:
        """The first model is the default."""
        self._models = models

    async def EmbedTexts(
        self, request: pb.EmbedTextsRequest, _context: Context
    ) -> pb.EmbedTextsResponse:
        model = self._model(request.model)
        purpose = _PURPOSES.get(request.purpose, Purpose.PASSAGE)
        found = await model.embedder.embed(request.texts, purpose)
        _check_space(request, model.embedder.space)
        return pb.EmbedTextsResponse(
            space=_space(model.embedder.space),
            embeddings=(nouns.Embedding(values=one.vector) for one in found),
            tokens=(one.tokens for one in found),
            is_truncated=(one.is_truncated for one in found),
        )

    async def ListEmbeddingModels(
        self, _request: pb.ListEmbeddingModelsRequest, _context: Context
    ) -> pb.ListEmbeddingModelsResponse:
        default = next(iter(self._models), "")
        return pb.ListEmbeddingModelsResponse(
            models=(
                nouns.EmbeddingModel(
                    space=_space(one.embedder.space),
                    backend=one.backend,
                    is_loaded=one.embedder.is_loaded,
                    is_default=one.name == default,
                    tokens_max=one.embedder.tokens_max,
                )
                for one in self._models.values()
            )
        )

    def _model(self, name: str) -> Model:
        found = self._models.get(name) if name else next(iter(self._models.values()), None)
        if found is None:
            message = "there is no such embedding model"
            there = ", ".join(self._models)
            reason = errors.ERROR_REASON_MODEL_UNKNOWN
            raise CallerError(reason, message, field="model", model=name, there=there)
        return found


def _check_space(request: pb.EmbedTextsRequest, space: Space) -> None:
    asked = request.space
    if request.HasField("space") and asked != _space(space):
        reason = errors.ERROR_REASON_SPACE_MISMATCH
        message = "the model's vectors are of another space"
        wanted = f"{asked.model} {asked.version} {asked.dimension}"
        ours = f"{space.model} {space.version} {space.dimension}"
        raise CallerError(reason, message, field="space", wanted=wanted, ours=ours)


def _space(space: Space) -> nouns.EmbeddingSpace:
    return nouns.EmbeddingSpace(model=space.model, version=space.version, dimension=space.dimension)
