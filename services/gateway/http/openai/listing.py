"""/v1/models: the language models, those that embed, and the front that asks the right agent."""

from __future__ import annotations

import asyncio
from typing import Any

from services.gateway.http.asking import Asked
from services.gateway.http.denied import Denied
from services.gateway.http.front import Front
from services.gateway.http.openai import fronting
from services.gateway.http.openai.quoting import word_of
from tandem.memory.v1 import embedding_pb2 as embedding
from tandem.memory.v1 import embedding_service_pb2 as embedding_pb
from tandem.models.v1 import model_pb2 as model
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.rpc.contract import Method

_MODELS = pb.DESCRIPTOR.services_by_name["ModelService"].methods_by_name
_LIST = Method.of(_MODELS["ListModels"])
_GET = Method.of(_MODELS["GetModel"])
_EMBEDDING = embedding_pb.DESCRIPTOR.services_by_name["EmbeddingService"].methods_by_name
LIST_EMBEDDING = Method.of(_EMBEDDING["ListEmbeddingModels"])
_PAGE = 1000
Row = dict[str, object]


async def listed(front: Front, asked: Asked) -> Row:
    """The answer. Where one agent does not say, what the other one has is told, and that it is not
    all. Raises Denied where neither says.
    """
    found = await asyncio.gather(
        _language(front, asked), _embedding_models(front, asked), return_exceptions=True
    )
    rows: list[Row] = []
    denials: list[Denied] = []
    for one in found:
        if isinstance(one, Denied):
            denials.append(one)
        elif isinstance(one, BaseException):
            raise one
        else:
            rows += one
    if len(denials) == len(found):
        raise denials[0]
    answer: Row = {"object": "list", "data": [*rows, _front_row()]}
    if denials:
        answer["missing"] = [str(one) for one in denials]
    return answer


async def described(front: Front, asked: Asked, name: str) -> Row:
    """One model. Raises Denied."""
    if name == fronting.NAME:
        return _front_row()
    try:
        response = await front.call(asked, _GET, pb.GetModelRequest(name=name))
    except Denied as denied:
        if denied.code != "NOT_FOUND":
            raise
        for row in await _embedding_models(front, asked):
            if row["id"] == name:
                return row
        raise
    return _row(response.model)


async def _language(front: Front, asked: Asked) -> list[Row]:
    rows: list[Row] = []
    request = pb.ListModelsRequest(page_size=_PAGE)
    while True:
        response = await front.call(asked, _LIST, request)
        rows += map(_row, response.models)
        if not response.next_page_token:
            return rows
        request.page_token = response.next_page_token


async def _embedding_models(front: Front, asked: Asked) -> list[Row]:
    request = embedding_pb.ListEmbeddingModelsRequest()
    response = await front.call(asked, LIST_EMBEDDING, request)
    return [_embedding_row(one) for one in response.models]


def _row(one: model.Model) -> Row:
    return {
        **_named(one.name, one.answerers[0].partition("/")[0] if one.answerers else "tandem"),
        "answerers": list(one.answerers),
        "is_generative": one.is_generative,
        "features": [word_of(model.ModelFeature, what, "MODEL_FEATURE_") for what in one.features],
        "context_tokens_max": one.context_tokens_max or None,
    }


def _embedding_row(one: embedding.EmbeddingModel) -> Row:
    backend = word_of(embedding.EmbeddingBackend, one.backend, "EMBEDDING_BACKEND_")
    return {
        **_named(one.space.model, backend),
        "features": ["embeddings"],
        "dimensions": one.space.dimension or None,
        "is_default": one.is_default,
    }


def _front_row() -> Row:
    return {**_named(fronting.NAME, "tandem"), "features": ["chat"]}


def _named(name: str, owner: str) -> dict[str, Any]:
    """The fields that OpenAI has. Nobody knows when a model was made."""
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
