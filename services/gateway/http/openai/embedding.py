"""/v1/embeddings over tandem.memory.v1.EmbeddingService."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from services.gateway.http.openai.errors import absent, invalid
from services.gateway.http.openai.fields import (
    Setter,
    choice,
    count,
    fill,
    ignored,
    items,
    text,
)
from services.gateway.http.openai.json_text import encoded, quoted
from tandem.memory.v1 import embedding_pb2 as noun
from tandem.memory.v1 import embedding_service_pb2 as pb

TEXTS_MAX = 2048
# In one call of the agent.
_TOGETHER = 256
_FORMATS = {"float": "float", "base64": "base64"}


@dataclass
class Asked:
    """What one request asks for. `dimension` 0: whatever the model has."""

    model: str = ""
    texts: Sequence[str] = ()
    format: str = "float"
    dimension: int = 0

    def requests(self) -> Iterator[pb.EmbedTextsRequest]:
        """As many as the agent takes at a time."""
        for at in range(0, len(self.texts), _TOGETHER):
            yield pb.EmbedTextsRequest(texts=self.texts[at : at + _TOGETHER], model=self.model)


def asked_of(body: dict[str, Any]) -> Asked:
    """Raises Refused."""
    asked = Asked()
    fill(asked, body, _SETTERS)
    if not asked.texts:
        raise invalid("'input' is missing", "input", "missing_required_parameter")
    return asked


def check_dimension(asked: Asked, models: Sequence[noun.EmbeddingModel]) -> None:
    """A vector has as many numbers as its model gives it: none is cut. Raises Refused."""
    for one in models:
        if one.space.model == asked.model or (one.is_default and not asked.model):
            known = one.space.dimension
            if known and known != asked.dimension:
                said = f"vectors of '{one.space.model}' have {known} numbers"
                raise invalid(said, "dimensions")


def answer_json(asked: Asked, responses: Sequence[pb.EmbedTextsResponse]) -> str:
    write = _base64 if asked.format == "base64" else _floats
    embeddings = (one for response in responses for one in response.embeddings)
    rows = ",".join(
        f'{{"object":"embedding","index":{at},"embedding":{write(one.values)}}}'
        for at, one in enumerate(embeddings)
    )
    tokens = sum(sum(response.tokens) for response in responses)
    return (
        f'{{"object":"list","data":[{rows}],"model":{quoted(responses[0].space.model)},'
        f'"usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}'
    )


def _floats(values: Sequence[float]) -> str:
    return encoded(list(values))


def _base64(values: Sequence[float]) -> str:
    """Little-endian numbers of 32 bits, as clients ask for them by themselves."""
    numbers = array("f", values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return f'"{base64.b64encode(numbers.tobytes()).decode()}"'


def _set_model(asked: Asked, value: object) -> None:
    said = text(value, "model")
    # As of language models. To the agent its default has no name.
    asked.model = "" if said == "default" else said


def _set_input(asked: Asked, value: object) -> None:
    found = [value] if isinstance(value, str) else items(value, "input")
    if not 0 < len(found) <= TEXTS_MAX:
        raise invalid(f"'input' has to have 1 to {TEXTS_MAX} items", "input")
    if isinstance(found[0], (int, list)):
        raise absent("inputs of tokens are not here: send texts", "input")
    asked.texts = [text(one, f"input[{at}]") for at, one in enumerate(found)]


def _set_format(asked: Asked, value: object) -> None:
    asked.format = choice(value, _FORMATS, "encoding_format")


def _set_dimension(asked: Asked, value: object) -> None:
    asked.dimension = count(value, "dimensions")


_SETTERS: dict[str, Setter] = {
    "model": _set_model,
    "input": _set_input,
    "encoding_format": _set_format,
    "dimensions": _set_dimension,
    "user": ignored,
}
