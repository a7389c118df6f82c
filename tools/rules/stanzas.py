"""The fleet files against their schema and each agent's settings: file, line and column."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tandemkit.core.names import AgentName
from tandemkit.rpc import validation
from tools.rules import agents
from tools.rules.descriptors import Contracts
from tools.rules.tree import Finding, Tree

RULE = "fleet"
_FAMILY = "tandem.fleet.v1.Family"
_ANY = "google.protobuf.Any"


def check(tree: Tree, contracts: Contracts) -> Iterator[Finding]:
    """Findings for fields that do not exist, values that do not fit, rules that a value breaks."""
    settings = _settings_by_service(tree)
    taken: dict[str, str] = {}
    for path in tree.files:
        if re.fullmatch(r"deploy/fleet/[^/]+\.yaml", path):
            reader = _Reader(path, contracts, settings, taken)
            reader.read(tree.files[path])
            yield from reader.findings


def _settings_by_service(tree: Tree) -> dict[str, str]:
    by_contract = {item.contract: item.settings for item in agents.declarations(tree)}
    return {
        name.service: by_contract.get(name.proto.removesuffix(".proto"), "")
        for _, name in agents.contracts(tree)
    }


@dataclass
class _Reader:
    """Turns the YAML nodes of one file into messages, and keeps where each field stood."""

    path: str
    contracts: Contracts
    settings: Mapping[str, str]
    # Which file runs an instance of this name already; shared by all files of the fleet.
    taken: dict[str, str]
    findings: list[Finding] = field(default_factory=list)

    def read(self, text: str) -> None:
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            self._object(error.problem_mark, error.problem or "is no YAML")
            return
        if not isinstance(root, yaml.MappingNode):
            message = "a fleet file is a mapping with the key `agents`"
            self.findings.append(Finding(self.path, 1, RULE, message))
            return
        family: Any = self.contracts.message_class(_FAMILY)()
        self._check(family, root)
        for node, stanza in zip(_stanza_nodes(root), family.agents, strict=False):
            self._check_stanza(node, stanza)

    def _check(self, message: Message, node: yaml.MappingNode) -> None:
        marks: dict[str, yaml.Mark] = {"": node.start_mark}
        self._fill(message, node, "", marks)
        # The engine itself: the kit's quick checks know generated messages, and these are not.
        for broken in validation.ask_engine(message):
            mark = _nearest(broken.field, marks)
            self._object(mark, f"`{broken.field}`: {broken.description}")

    def _check_stanza(self, node: yaml.MappingNode, stanza: Any) -> None:
        if stanza.name in self.taken:
            message = f"`{stanza.name}` runs already, by {self.taken[stanza.name]}"
            self._object(_value(node, "name").start_mark, message)
        self.taken.setdefault(stanza.name, self.path)
        if stanza.service not in self.settings:
            return
        if not AgentName.of(stanza.service).owns(stanza.name):
            wanted = AgentName.of(stanza.service).short
            message = f"`{stanza.name}` is no instance of {stanza.service}: {wanted}, or a suffix"
            self._object(_value(node, "name").start_mark, message)
        given = _value(node, "settings")
        if given is node:
            return
        if not isinstance(given, yaml.MappingNode):
            self._object(given.start_mark, "`settings` is a mapping of fields")
            return
        if not self.settings[stanza.service]:
            self._object(given.start_mark, f"{stanza.service} declares no settings")
            return
        self._check(self.contracts.message_class(self.settings[stanza.service])(), given)

    def _fill(
        self, message: Message, node: yaml.MappingNode, prefix: str, marks: dict[str, yaml.Mark]
    ) -> None:
        seen: set[str] = set()
        for key, value in node.value:
            known = message.DESCRIPTOR.fields_by_name.get(str(key.value))
            path = f"{prefix}.{key.value}".lstrip(".")
            marks[path] = value.start_mark
            if known is None:
                name = message.DESCRIPTOR.full_name
                self._object(key.start_mark, f"{name} has no field `{key.value}`")
            elif path in seen:
                self._object(key.start_mark, f"`{path}` stands here twice")
            else:
                self._set(message, known, value, (path, marks))
            seen.add(path)

    def _set(
        self,
        message: Any,
        known: FieldDescriptor,
        node: yaml.Node,
        place: tuple[str, dict[str, yaml.Mark]],
    ) -> None:
        path, marks = place
        if known.message_type is not None and known.message_type.full_name == _ANY:
            return
        if known.message_type is None or not isinstance(node, yaml.CollectionNode):
            self._parse(message, known, node, path)
        elif isinstance(node, yaml.MappingNode) and not known.message_type.GetOptions().map_entry:
            getattr(message, known.name).SetInParent()
            self._fill(getattr(message, known.name), node, path, marks)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                marks[f"{path}[{index}]"] = item.start_mark
                if isinstance(item, yaml.MappingNode):
                    self._fill(getattr(message, known.name).add(), item, f"{path}[{index}]", marks)
                else:
                    self._object(item.start_mark, f"`{path}[{index}]` is a mapping of fields")
        else:
            self._parse(message, known, node, path)

    def _parse(self, message: Message, known: FieldDescriptor, node: yaml.Node, path: str) -> None:
        """Scalars, well-known types such as Duration, and maps: as the JSON mapping reads them."""
        try:
            # A date stays text here: JSON has none, and a field may well want one as a string.
            is_date = node.tag == "tag:yaml.org,2002:timestamp"
            native = node.value if is_date else yaml.SafeLoader("").construct_object(node, True)
            json_format.ParseDict({known.name: native}, message)
        except (json_format.ParseError, yaml.YAMLError) as error:
            self._object(node.start_mark, f"`{path}`: {error}")

    def _object(self, mark: yaml.Mark | None, message: str) -> None:
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        self.findings.append(Finding(self.path, line, RULE, message, column))


def _stanza_nodes(root: yaml.MappingNode) -> list[yaml.MappingNode]:
    listed = _value(root, "agents")
    return [node for node in listed.value if isinstance(node, yaml.MappingNode)]


def _value(node: yaml.MappingNode, key: str) -> yaml.Node:
    """The node under `key`; the mapping itself where the key is absent."""
    return next((value for name, value in node.value if name.value == key), node)


def _nearest(path: str, marks: Mapping[str, yaml.Mark]) -> yaml.Mark:
    """Where the field stands, or, when it is the absence that is wrong, what should hold it."""
    while path not in marks:
        path = re.sub(r"(^|\.)[^.\[]*$|\[[^\[]*$", "", path)
    return marks[path]
