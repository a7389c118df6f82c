"""Which models there are, and who answers under which name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from services.models.model.place import Place
from services.models.model.tries import Chain, Seat
from tandem.models.v1 import model_pb2 as nouns
from tandemkit.ml.generation.protocol import ModelGone
from tandemkit.ml.generation.quotes import MODEL

DEFAULT: Final = "default"
EXTRACTIVE: Final = "extractive"


class Catalog:
    """Over the backends by name, `extractive` the last of them, and the names of the settings."""

    def __init__(self, places: Mapping[str, Place], names: Mapping[str, Sequence[str]]) -> None:
        self.places, self._names = places, names
        self._quotes = Seat(places[EXTRACTIVE], MODEL)

    async def chain(self, name: str) -> Chain:
        """Who answers under that name. Raises ModelGone."""
        name = name or DEFAULT
        if name in self._names:
            return Chain([self._seat(one) for one in self._names[name]])
        if name == DEFAULT:
            return await self._default()
        return Chain([self._seat(name)])

    async def models(self) -> dict[str, nouns.Model]:
        """All by name. A backend that does not answer has none."""
        listed = await asyncio.gather(*(place.listed() for place in self.places.values()))
        found: dict[str, nouns.Model] = {}
        for place, (cards, _) in zip(self.places.values(), listed, strict=True):
            for card in cards:
                name = f"{place.name}/{card.name}"
                found[name] = _model(name, [Seat(place, card.name)], card.context_tokens_max)
        for name in (DEFAULT, *self._names):
            seats = (await self.chain(name)).seats
            known = found.get(seats[0].name, nouns.Model())
            found[name] = _model(name, seats, known.context_tokens_max)
        return found

    def _seat(self, name: str) -> Seat:
        place, _, model = name.partition("/")
        if place not in self.places or not model:
            raise ModelGone("there is no such model; ListModels says which there are", model=name)
        return Seat(self.places[place], model)

    async def _default(self) -> Chain:
        """The first model of the first backend that has one; quotes come last."""
        causes: list[str] = []
        for place in self.places.values():
            if place is self._quotes.place:
                continue
            cards, cause = await place.listed()
            if cards:
                seats = [Seat(place, cards[0].name), self._quotes]
                return Chain(seats, "; ".join(causes))
            if not (cause and place.is_optional):
                causes.append(f"{place.name}: {cause or 'it has no models'}")
        return Chain([self._quotes], "; ".join(causes))


def _model(name: str, seats: Sequence[Seat], context_tokens_max: int) -> nouns.Model:
    nature = seats[0].place.backend.nature
    return nouns.Model(
        name=name,
        answerers=[one.name for one in seats],
        is_generative=nature.is_generative,
        features=nature.features,
        context_tokens_max=context_tokens_max,
    )
