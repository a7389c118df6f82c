"""Machines, groups, pools and profiles: everything of deploy/fleet that is no stanza."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TypeVar

from google.protobuf.message import Message

from tandem.fleet.v1.group_pb2 import Groups, HostGroup
from tandem.fleet.v1.machine_pb2 import Machine, Machines
from tandem.fleet.v1.profile_pb2 import Pool, Profile
from tandemkit.written.marked import Entry, Mistake, Reader, read
from tandemkit.written.near import hint
from tandemkit.written.pools import pools_of
from tandemkit.written.variables import Variables

_Item = TypeVar("_Item", Machine, HostGroup)


@dataclass
class Layout:
    """All entries by name, and all that is wrong with the files that hold them."""

    machines: dict[str, Entry[Machine]] = field(default_factory=dict)
    groups: dict[str, Entry[HostGroup]] = field(default_factory=dict)
    pools: dict[int, Entry[Pool]] = field(default_factory=dict)
    profiles: dict[str, Entry[Profile]] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    @classmethod
    def read(cls, files: Mapping[str, str], variables: Variables | None = None) -> Layout:
        """The texts of `layout/*.yaml` and `profiles/*.yaml` by their paths."""
        layout, known = cls(), variables or Variables()
        for path, text in files.items():
            layout._add(PurePath(path), Reader(path, known), text)
        layout._check_references()
        return layout

    def _add(self, path: PurePath, reader: Reader, text: str) -> None:
        match path.parts[-2:]:
            case ("profiles", _):
                profile = read(reader, Profile(), text)
                if profile.fields.name != path.stem:
                    said = f"the file is called {path.name}: call the profile `{path.stem}`"
                    reader.mistakes.append(profile.mistake("name", said))
                self.profiles[path.stem] = profile
            case (_, "machines.yaml"):
                machines = read(reader, Machines(), text)
                _by_name(self.machines, machines, "machines", machines.fields.machines, reader)
            case (_, "groups.yaml"):
                groups = read(reader, Groups(), text)
                _by_name(self.groups, groups, "groups", groups.fields.groups, reader)
            case (_, "pools.yaml"):
                self.pools.update(pools_of(reader, text))
            case _:
                known = ("groups.yaml", "machines.yaml", "pools.yaml")
                reader.object_to(None, f"nobody reads this file{hint(path.name, known)}")
        self.mistakes += reader.mistakes

    def _check_references(self) -> None:
        for group in self.groups.values():
            self._known(group, "machines", group.fields.machines, self.machines)
        for profile in self.profiles.values():
            self._known(profile, "machines", profile.fields.machines, self.machines)
            self._known(profile, "beside", profile.fields.beside, self.profiles)
            for index, placed in enumerate(profile.fields.groups):
                entry = Entry(placed, profile.places, f"groups[{index}]")
                self._known(entry, "group", [placed.group], self.groups)
                self._known(entry, "machines", placed.machines, self.machines)

    def _known(
        self, entry: Entry[Message], name: str, values: Iterable[str], known: Mapping[str, object]
    ) -> None:
        # Where there are none at all, their file is what is wrong, and has been told.
        if not known:
            return
        what = {"group": "group", "machines": "machine", "beside": "profile"}[name]
        for index, value in enumerate(values):
            if value not in known:
                at = name if name == "group" else f"{name}[{index}]"
                said = f"there is no {what} `{value}`{hint(value, known)}"
                self.mistakes.append(entry.mistake(at, said))


def _by_name(
    known: dict[str, Entry[_Item]],
    file: Entry[Message],
    field_name: str,
    items: Iterable[_Item],
    reader: Reader,
) -> None:
    for index, one in enumerate(items):
        entry: Entry[_Item] = Entry(one, file.places, f"{field_name}[{index}]")
        if one.name in known:
            reader.mistakes.append(entry.mistake("name", f"`{one.name}` stands here twice"))
        known.setdefault(one.name, entry)
