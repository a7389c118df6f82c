"""The files of deploy/fleet against their schema and each agent's settings, with file, line and
column in every error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from google.protobuf.message import Message

from tandemkit.core.names import AgentName
from tandemkit.written.marked import Entry, Mistake, Reader, value_of
from tandemkit.written.variables import Use, Variables


@dataclass(frozen=True, slots=True)
class Stanza:
    """One instance: `entry` holds its tandem.fleet.v1.Stanza, `settings` a message of its agent's
    own type.
    """

    entry: Entry[Any]
    settings: Message | None
    # The characters of its file.
    span: range = range(0)

    def names(self, use: Use) -> bool:
        """Whether the variable was used in this stanza."""
        return use.path == self.entry.places.path and use.at in self.span

    @property
    def fields(self) -> Any:
        """Its tandem.fleet.v1.Stanza."""
        return self.entry.fields


@dataclass(frozen=True, slots=True)
class Kinds:
    """Where message types come from: generated modules, or descriptors that were made at run time.

    `settings` gives an empty settings message for a service, None for an agent without settings,
    and raises LookupError with a sentence where there is no such agent.
    """

    family: Callable[[], Message]
    settings: Callable[[str], Message | None]


@dataclass
class Fleet:
    """All instances, and all that is wrong with the files that name them."""

    kinds: Kinds
    stanzas: list[Stanza] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    _taken: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls, files: Mapping[str, str], kinds: Kinds, variables: Variables | None = None
    ) -> Fleet:
        """The texts of the files by their paths, which errors name."""
        fleet, known = cls(kinds), variables or Variables()
        for path, text in files.items():
            fleet._add(Reader(path, known), text)
        return fleet

    def _add(self, reader: Reader, text: str) -> None:
        root = reader.root(text)
        if root is not None:
            family: Any = self.kinds.family()
            places = reader.read(family, root)
            # Where a stanza was no mapping the two differ, and the reader has said so.
            for (index, node), fields in zip(_stanza_nodes(root), family.agents, strict=False):
                self._place(reader, node, Entry(fields, places, f"agents[{index}]"))
        self.mistakes += reader.mistakes

    def _place(self, reader: Reader, node: yaml.MappingNode, entry: Entry[Any]) -> None:
        fields = entry.fields
        name_at = (value_of(node, "name") or node).start_mark
        if fields.name in self._taken:
            message = f"`{fields.name}` runs already, by {self._taken[fields.name]}"
            reader.object_to(name_at, message)
        self._taken.setdefault(fields.name, reader.path)
        try:
            agent = AgentName.of(fields.service)
            settings = self.kinds.settings(fields.service)
        except (LookupError, ValueError) as error:
            reader.object_to((value_of(node, "service") or node).start_mark, str(error.args[0]))
            return
        if not agent.owns(fields.name):
            wanted = f"{agent.short}, alone or with a suffix"
            message = f"`{fields.name}` is no instance of {fields.service}: {wanted}"
            reader.object_to(name_at, message)
        _fill(reader, settings, value_of(node, "settings"), fields.service)
        span = range(node.start_mark.index, node.end_mark.index)
        self.stanzas.append(Stanza(entry, settings, span))


def secrets_in(files: Mapping[str, str]) -> frozenset[str]:
    """The secrets that any stanza declares: which variables are none for files has to be known
    before they are read.
    """
    found: set[str] = set()
    for path, text in files.items():
        root = Reader(path).root(text) if "secrets" in text else None
        for _index, node in _stanza_nodes(root) if root else ():
            for key in ("secrets", "optional_secrets"):
                listed = value_of(node, key)
                if isinstance(listed, yaml.SequenceNode):
                    found |= {str(one.value) for one in listed.value}
    return frozenset(found)


def _fill(reader: Reader, settings: Message | None, given: yaml.Node | None, service: str) -> None:
    if given is None:
        return
    if not isinstance(given, yaml.MappingNode):
        reader.object_to(given.start_mark, "`settings` is a mapping of fields")
    elif settings is None:
        reader.object_to(given.start_mark, f"{service} declares no settings")
    else:
        reader.read(settings, given)


def _stanza_nodes(root: yaml.MappingNode) -> list[tuple[int, yaml.MappingNode]]:
    listed = value_of(root, "agents")
    items = listed.value if isinstance(listed, yaml.SequenceNode) else []
    return [pair for pair in enumerate(items) if isinstance(pair[1], yaml.MappingNode)]
