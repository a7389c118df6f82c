"""Which group serves which agent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tandem.fleet.v1.group_pb2 import HostGroup
from tandem.fleet.v1.runtime_pb2 import RUNTIME_UNSPECIFIED, Runtime
from tandemkit.fleet import asks
from tandemkit.fleet.stanzas import Stanza
from tandemkit.written.marked import Entry, Mistake
from tandemkit.written.near import hint


class Serving:
    """Each stanza's group. A full name counts before a pattern, a longer one before a shorter."""

    def __init__(
        self,
        stanzas: Iterable[Stanza],
        groups: Mapping[str, Entry[HostGroup]],
        runtimes: Mapping[str, Runtime.ValueType],
    ) -> None:
        self.mistakes: list[Mistake] = []
        self._group_of: dict[str, str] = {}
        self._stanzas: dict[str, Stanza] = {}
        for stanza in sorted(stanzas, key=lambda one: str(one.fields.name)):
            self._stanzas.setdefault(stanza.fields.name, stanza)
        patterns = self._patterns(groups)
        for name, stanza in self._stanzas.items():
            fitting = [pattern for pattern in patterns if _fits(name, pattern)]
            if fitting:
                group = self._group_of[name] = patterns[max(fitting, key=_weight)]
                own = runtimes.get(stanza.fields.service, RUNTIME_UNSPECIFIED)
                self._check_runtime(stanza, groups[group].fields, own)
            elif groups:
                said = f"no group serves `{name}`: add it to the `agents` of one in groups.yaml"
                self.mistakes.append(stanza.entry.mistake("name", said))

    def members(self, group: str) -> list[Stanza]:
        """Stanzas of a group, by name."""
        return [one for name, one in self._stanzas.items() if self._group_of.get(name) == group]

    def groups_with(self, service: str) -> Sequence[str]:
        """Groups that serve an instance of this contract."""
        found = [name for name, one in self._stanzas.items() if one.fields.service == service]
        return sorted({self._group_of[name] for name in found if name in self._group_of})

    def _check_runtime(self, stanza: Stanza, group: HostGroup, own: Runtime.ValueType) -> None:
        """A process has one program."""
        if own != asks.runtime(group):
            ours, theirs = asks.language(own), asks.language(asks.runtime(group))
            said = (
                f"`{stanza.fields.name}` is written in {ours}, and its group `{group.name}` runs "
                f"{theirs}: name it in the `agents` of a group with `runtime: {ours}`"
            )
            self.mistakes.append(stanza.entry.mistake("service", said))

    def _patterns(self, groups: Mapping[str, Entry[HostGroup]]) -> dict[str, str]:
        patterns: dict[str, str] = {}
        for group, entry in groups.items():
            for index, pattern in enumerate(entry.fields.agents):
                at = f"agents[{index}]"
                if pattern in patterns:
                    said = f"`{pattern}` is served by `{patterns[pattern]}` already"
                    self.mistakes.append(entry.mistake(at, said))
                elif not pattern.endswith("*") and pattern not in self._stanzas:
                    said = f"no stanza is called `{pattern}`{hint(pattern, self._stanzas)}"
                    self.mistakes.append(entry.mistake(at, said))
                patterns.setdefault(pattern, group)
        return patterns


def _fits(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _weight(pattern: str) -> tuple[bool, int]:
    return (not pattern.endswith("*"), len(pattern))
