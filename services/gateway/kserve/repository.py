"""All models that the fleet has, by name: which there are is asked of their agents now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from services.gateway.kserve.models import Model, Source
from services.gateway.kserve.refusal import another_version, unknown, unloaded, untold
from tandemkit.core.clock import Clock
from tandemkit.rpc.remote import CallFailed

# What was told so long ago still says who has a model, and what of it has changed is in its answer.
_KEEP_S: Final = 60.0
# A list is that new, and so is what says that there is no such model.
_LISTED_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A model and who has it."""

    model: Model
    source: Source


@dataclass(frozen=True, slots=True)
class Told:
    """What was known at a moment. `silent` is why an agent did not say which models it has."""

    at_s: float = float("-inf")
    models: Mapping[str, Entry] = field(default_factory=dict)
    silent: Sequence[str] = ()


class Repository:
    def __init__(self, sources: Mapping[str, Source], clock: Clock) -> None:
        """By the name of the agent. Of two models with one name the first agent's counts."""
        self._sources, self._clock = sources, clock
        self._told = Told()
        self._asking = asyncio.Lock()
        self._unloaded: set[str] = set()

    async def all(self) -> list[Model]:
        """Those of an agent that does not answer now are not ready."""
        return [one.model for one in (await self._now(_LISTED_S)).models.values()]

    async def find(self, name: str, version: str) -> Entry:
        """Raises CallerError, and TransientError where nobody can say."""
        found = (await self._now(_KEEP_S)).models.get(name)
        if found is None or version not in {"", found.model.version}:
            told = await self._now(_LISTED_S)
            found = told.models.get(name)
            if found is None and told.silent:
                raise untold(name, "; ".join(told.silent))
        if found is None:
            raise unknown(name)
        if version not in {"", found.model.version}:
            raise another_version(name, version, found.model.version)
        return found

    async def usable(self, name: str, version: str) -> Entry:
        """The same for one that is to be asked."""
        found = await self.find(name, version)
        if name in self._unloaded:
            raise unloaded(name)
        return found

    def unready_cause(self, model: Model) -> str:
        """Empty where it can be asked."""
        return "unloaded" if model.name in self._unloaded else model.unready_cause

    async def load(self, name: str) -> None:
        found = await self.find(name, "")
        await found.source.load(found.model)
        self._unloaded.discard(name)

    async def unload(self, name: str) -> None:
        await self.find(name, "")
        self._unloaded.add(name)

    async def _now(self, age_s: float) -> Told:
        if self._age_s() >= age_s:
            async with self._asking:
                if self._age_s() >= age_s:
                    self._told = await self._asked()
        return self._told

    def _age_s(self) -> float:
        return self._clock.monotonic_s() - self._told.at_s

    async def _asked(self) -> Told:
        found = await asyncio.gather(*(_models(*one) for one in self._sources.items()))
        models: dict[str, Entry] = {}
        silent: list[str] = []
        for source, told in zip(self._sources.values(), found, strict=True):
            if isinstance(told, str):
                silent.append(told)
                known = self._known_of(source, told)
            else:
                known = told
            for model in known:
                models.setdefault(model.name, Entry(model, source))
        return Told(self._clock.monotonic_s(), models, silent)

    def _known_of(self, source: Source, cause: str) -> Sequence[Model]:
        """Those of before: whoever asks one is told by its agent how that is."""
        known = self._told.models.values()
        return [replace(one.model, unready_cause=cause) for one in known if one.source is source]


async def _models(agent: str, source: Source) -> Sequence[Model] | str:
    """Or why it does not say."""
    try:
        return await source.models()
    except CallFailed as error:
        return f"{agent} does not say which it has ({error.found.words})"
