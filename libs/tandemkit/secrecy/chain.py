"""Who may have a secret, asked one after the other: Vault, folders, the launcher's environment."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from tandemkit.core.secret import Secret
from tandemkit.reach.failure import Refused, Unreachable
from tandemkit.secrecy import files
from tandemkit.secrecy.place import Place

MOUNTED = Path("/run/secrets")
ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class Found:
    """A value, who has it, its version as that one counts, and since when."""

    secret: Secret
    provider: str
    version: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Trouble:
    """A provider that could not tell all, and why."""

    provider: str
    said: str

    def __str__(self) -> str:
        return f"{self.provider}: {self.said}"


@dataclass(frozen=True, slots=True)
class Search:
    """What was found, by name, and what kept a provider from saying more."""

    found: dict[str, Found] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)

    def doubts(self, provider: str) -> bool:
        """Whether one that is called so, or begins so, may have more than it told."""
        return any(provider.startswith(one.provider) for one in self.troubles)


class Provider(Protocol):
    """One that may have secrets."""

    @property
    def name(self) -> str:
        """As people read it."""

    async def find(self, names: Collection[str]) -> Search:
        """Those of `names` that it has. Raises Unreachable, Refused."""

    def hurry(self) -> None:
        """What it knows from before does not count the next time."""

    async def write(self, name: str, value: str) -> str:
        """Makes it the secret of that name from now on; says where it is. Raises Unreachable,
        Refused.
        """


class Folder:
    """Files that somebody mounted or wrote, one for each secret."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        return f"folder {self._folder}"

    async def find(self, names: Collection[str]) -> Search:
        # It may be on a network.
        return await asyncio.to_thread(self._find, names)

    def hurry(self) -> None:
        """Each look is a new one."""

    async def write(self, name: str, value: str) -> str:
        path = self._folder / name
        try:
            await asyncio.to_thread(files.write, path, value)
        except OSError as error:
            why = error.strerror or "unknown"
            message = "the file cannot be written: change it where it is mounted from"
            raise Refused(message, file=path, why=why) from error
        return str(path)

    def _find(self, names: Collection[str]) -> Search:
        search = Search()
        for name in names:
            try:
                file = files.read(self._folder / name)
            except Refused as error:
                search.troubles.append(Trouble(self.name, str(error)))
                continue
            if file is not None:
                search.found[name] = Found(file.secret, self.name, "", file.since)
        return search


class Launched:
    """What the launcher's environment held, and what was given by hand: whichever is later."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._ways = {ENVIRONMENT: place.environment, "given by hand": place.given}

    @property
    def name(self) -> str:
        return ENVIRONMENT

    async def find(self, names: Collection[str]) -> Search:
        search = Search()
        for name in names:
            both = []
            for way, folder in self._ways.items():
                try:
                    one = files.read(folder / name)
                except Refused as error:
                    search.troubles.append(Trouble(way, str(error)))
                    continue
                if one is not None:
                    both.append(Found(one.secret, way, "", one.since))
            if both:
                search.found[name] = max(both, key=lambda one: one.since)
        return search

    def hurry(self) -> None:
        """Each look is a new one."""

    async def write(self, name: str, value: str) -> str:
        self._place.give(name, value)
        return "this machine, until ./tandem down"


class Chain:
    """Several as one: the first that has a secret counts. One that cannot be asked is passed over,
    and that is told.
    """

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = providers

    @property
    def name(self) -> str:
        """Those of its providers, in their order."""
        return ", ".join(one.name for one in self._providers)

    async def find(self, names: Collection[str]) -> Search:
        search = Search()
        for provider in self._providers:
            missing = [name for name in names if name not in search.found]
            if not missing:
                break
            try:
                more = await provider.find(missing)
            except (Unreachable, Refused) as error:
                search.troubles.append(Trouble(provider.name, str(error)))
                continue
            search.found.update(more.found)
            search.troubles.extend(more.troubles)
        return search

    def hurry(self) -> None:
        """Nobody answers from memory the next time."""
        for provider in self._providers:
            provider.hurry()

    async def write(self, name: str, value: str) -> str:
        """Where it is now; what nobody has goes to the last one."""
        self.hurry()
        for provider in self._providers[:-1]:
            if name in (await provider.find([name])).found:
                return await provider.write(name, value)
        return await self._providers[-1].write(name, value)


class Held:
    """Values that a launcher has in its hands, since `since`, and nobody else yet."""

    def __init__(self, values: Mapping[str, str], since: datetime) -> None:
        self._found = {
            name: Found(Secret(value), ENVIRONMENT, "", since)
            for name, value in values.items()
            if value
        }

    @property
    def name(self) -> str:
        return ENVIRONMENT

    async def find(self, names: Collection[str]) -> Search:
        return Search({name: self._found[name] for name in names if name in self._found})

    def hurry(self) -> None:
        """They do not change."""

    async def write(self, name: str, value: str) -> str:
        raise Refused("what a shell has exported is changed there", secret=name)
