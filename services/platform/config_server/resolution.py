"""Which value holds for whom: the layers of the files, and above them what was set at run time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from services.platform.config_server.book import Book, Place, Said
from services.platform.config_server.kinds import fits
from tandem.platform.v1 import config_value_pb2 as nouns

# A machine and an agent; empty for any.
Whose: TypeAlias = tuple[str, str]
_Layer: TypeAlias = nouns.ConfigLayer.ValueType
ALL: Whose = ("", "")


def whose(target: nouns.ConfigTarget) -> Whose:
    return (target.machine, target.agent)


@dataclass(frozen=True, slots=True)
class View:
    """All that is known at one moment."""

    book: Book
    profile: str
    record: nouns.ConfigRecord
    overrides: Mapping[tuple[str, Whose], nouns.ConfigOverride]
    stale: bool

    @classmethod
    def of(cls, book: Book, profile: str, record: nouns.ConfigRecord, *, stale: bool) -> View:
        overrides = {(one.key, whose(one.target)): one for one in record.overrides}
        return cls(book, profile, record, overrides, stale)

    @property
    def version(self) -> int:
        return self.record.change.version

    def candidates(self, key: str, target: nouns.ConfigTarget) -> Iterator[Said]:
        """What is said of a declared key, the strongest first."""
        kind = self.book.declarations[key].kind
        for layer, place in _set_for(target):
            found = self.overrides.get((key, place))
            # A key that was declared anew with another kind is as if nobody had set it.
            if found is not None and fits(found.value, kind):
                name = place[0] or place[1]
                origin = nouns.ConfigOrigin(layer=layer, name=name, version=found.version)
                yield Said(found.value, origin, "")
        for layer, name in self._written_for(target):
            said = self.book.layers.get((layer, name), {}).get(key)
            if said is not None:
                yield said

    def entry(self, key: str, target: nouns.ConfigTarget) -> nouns.ConfigEntry:
        declared = self.book.declarations[key]
        made = nouns.ConfigEntry(key=key, kind=declared.kind, purpose=declared.purpose)
        said = next(self.candidates(key, target), None)
        if said is not None:
            made.value.CopyFrom(said.value)
            made.origin.CopyFrom(said.origin)
        return made

    def entries(self, prefix: str, target: nouns.ConfigTarget) -> dict[str, nouns.ConfigEntry]:
        """By key, in their order."""
        keys = sorted(key for key in self.book.declarations if key.startswith(prefix))
        return {key: self.entry(key, target) for key in keys}

    def _written_for(self, target: nouns.ConfigTarget) -> Iterator[Place]:
        if target.agent:
            yield nouns.CONFIG_LAYER_AGENT, target.agent
        if target.machine:
            yield nouns.CONFIG_LAYER_MACHINE, target.machine
        if self.profile:
            yield nouns.CONFIG_LAYER_PROFILE, self.profile
        yield nouns.CONFIG_LAYER_DEFAULT, ""


def _set_for(target: nouns.ConfigTarget) -> Iterator[tuple[_Layer, Whose]]:
    if target.agent:
        yield nouns.CONFIG_LAYER_AGENT_OVERRIDE, ("", target.agent)
    if target.machine:
        yield nouns.CONFIG_LAYER_MACHINE_OVERRIDE, (target.machine, "")
    yield nouns.CONFIG_LAYER_OVERRIDE, ALL
