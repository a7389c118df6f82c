"""Which models there are, and who answers under which name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tandem.models.v1 import chat_pb2 as chat
from tandem.models.v1 import model_pb2 as nouns
from tandem.models.v1 import model_service_pb2 as pb
from tandemkit.ml.generation.protocol import Backend, ModelGone
from tandemkit.ml.generation.quotes import MODEL

DEFAULT = "default"
_QUOTES = f"extractive/{MODEL}"


@dataclass(frozen=True, slots=True)
class Seat:
    """A model at its backend."""

    backend: str
    model: str
    at: Backend

    def answerer(self) -> chat.Answerer:
        is_generative = self.at.nature.is_generative
        return chat.Answerer(backend=self.backend, model=self.model, is_generative=is_generative)


class Catalog:
    """Over the backends by name."""

    def __init__(self, backends: Mapping[str, Backend]) -> None:
        self._backends = backends

    async def seat(self, name: str) -> Seat:
        """Who answers under that name. Raises ModelGone."""
        wanted = _QUOTES if name in {"", DEFAULT} else name
        backend, _, model = wanted.partition("/")
        at = self._backends.get(backend)
        if at is None or not model:
            raise ModelGone("there is no such model; ListModels says which there are", model=name)
        return Seat(backend, model, at)

    async def models(self) -> dict[str, nouns.Model]:
        """All by name."""
        found: dict[str, nouns.Model] = {}
        for name, backend in self._backends.items():
            for card in await backend.models():
                full = f"{name}/{card.name}"
                found[full] = nouns.Model(
                    name=full,
                    answerers=[full],
                    is_generative=backend.nature.is_generative,
                    features=backend.nature.features,
                    context_tokens_max=card.context_tokens_max,
                )
        default = nouns.Model()
        default.CopyFrom(found[_QUOTES])
        default.name = DEFAULT
        return {DEFAULT: default, **found}

    def backends(self) -> pb.ListBackendsResponse:
        """How each is."""
        answer = pb.ListBackendsResponse()
        for name, backend in self._backends.items():
            answer.backends.add(name=name, kind=backend.nature.kind, address=backend.nature.address)
        return answer
