"""What the files say: which keys there are, and their values in layers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeAlias

import yaml
from google.protobuf import json_format

from services.platform.config_server.kinds import Misfit, parsed
from tandem.platform.config.v1 import config_server_pb2 as cfg
from tandem.platform.v1 import config_value_pb2 as nouns
from tandemkit.core.errors import Failure
from tandemkit.rpc.validation import violations
from tandemkit.written import expansion
from tandemkit.written.expansion import Unexpandable, expanded

# A layer of the files: which one, and whose.
Place: TypeAlias = tuple[nouns.ConfigLayer.ValueType, str]
INLINE = "settings"
_DEFAULTS: Place = (nouns.CONFIG_LAYER_DEFAULT, "")


class Unusable(Failure):
    """What the files say cannot be used."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems[0], problems=len(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Source:
    """One file, and what it is called in answers."""

    name: str
    file: cfg.ConfigFile
    digest: str


@dataclass(frozen=True, slots=True)
class Said:
    """A value of a file: as it is, whose word it is, and as it was written."""

    value: nouns.ConfigValue
    origin: nouns.ConfigOrigin
    written: str


@dataclass(frozen=True, slots=True)
class Book:
    declarations: Mapping[str, cfg.ConfigDeclaration] = field(default_factory=dict)
    layers: Mapping[Place, Mapping[str, Said]] = field(default_factory=dict)

    def near(self, key: str) -> list[str]:
        """Keys that look like one that is not there."""
        return get_close_matches(key, sorted(self.declarations), 3, 0.6)


def inline(file: cfg.ConfigFile) -> Source:
    digest = hashlib.sha256(file.SerializeToString(deterministic=True)).hexdigest()
    return Source(INLINE, file, digest)


def source(name: str, content: bytes) -> Source:
    """A file's content in YAML or JSON. Raises Unusable."""
    file = cfg.ConfigFile()
    try:
        # Of this loader all scalars are texts as they were written, which is what a file's are.
        found = yaml.BaseLoader(content).get_single_data() or {}
        json_format.ParseDict(_spelled_out(found), file)
    except (yaml.YAMLError, json_format.ParseError, UnicodeDecodeError) as error:
        told = " ".join(str(error).split())
        raise Unusable([f"{name}: {told}"]) from error
    if broken := violations(file):
        raise Unusable([f"{name}: `{one.field}`: {one.description}" for one in broken])
    return Source(name, file, hashlib.sha256(content).hexdigest())


def _spelled_out(found: Any) -> Any:
    """With the short names of enum values, `kind: whole` and `layer: agent`, in full."""
    if isinstance(found, list):
        return [_spelled_out(one) for one in found]
    if not isinstance(found, dict):
        return found
    said = {name: _spelled_out(value) for name, value in found.items()}
    for name in ("kind", "layer"):
        value = said.get(name)
        if isinstance(value, str) and value.islower():
            said[name] = f"CONFIG_{name}_{value}".upper()
    return said


def book(sources: Iterable[Source], variables: Iterable[cfg.ConfigVariable]) -> Book:
    """All of them together. Raises Unusable with everything that is wrong."""
    binding = _Binding({one.name: None if one.secret else one.text for one in variables})
    found = tuple(sources)
    for one in found:
        binding.declare(one)
    for one in found:
        binding.settle(one)
    if binding.problems:
        raise Unusable(binding.problems)
    return Book(binding.declarations, binding.layers)


class _Binding:
    def __init__(self, variables: Mapping[str, str | None]) -> None:
        self.declarations: dict[str, cfg.ConfigDeclaration] = {}
        self.layers: dict[Place, dict[str, Said]] = {}
        self.problems: list[str] = []
        self._meaning = expansion.of(variables)

    def declare(self, one: Source) -> None:
        for said in one.file.declarations:
            if said.key in self.declarations:
                self.problems.append(f"{one.name}: `{said.key}` is declared twice")
                continue
            self.declarations[said.key] = said
            if said.HasField("default"):
                self._say(one, _DEFAULTS, said.key, said.default)

    def settle(self, one: Source) -> None:
        for place, setting in _settings(one.file):
            if setting.key in self.declarations:
                self._say(one, place, setting.key, setting.value)
                continue
            near = get_close_matches(setting.key, sorted(self.declarations), 1, 0.6)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            self.problems.append(f"{one.name}: no file declares `{setting.key}`{hint}")

    def _say(self, one: Source, place: Place, key: str, written: str) -> None:
        layer = self.layers.setdefault(place, {})
        if key in layer:
            self.problems.append(f"{one.name}: `{key}` has two values in one layer")
            return
        try:
            text = expanded(written, self._meaning)
            value = parsed(text, self.declarations[key].kind)
        except (Unexpandable, Misfit) as error:
            self.problems.append(f"{one.name}: `{key}`: {error}")
            return
        origin = nouns.ConfigOrigin(
            layer=place[0], name=place[1], source=one.name, digest=one.digest
        )
        layer[key] = Said(value, origin, written)


def _settings(file: cfg.ConfigFile) -> Iterator[tuple[Place, cfg.ConfigSetting]]:
    for settings in file.settings:
        for setting in settings.values:
            yield (settings.layer, settings.name), setting
