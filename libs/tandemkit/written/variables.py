"""Variables in the files of deploy/: what they stand for, where each was used, and what is missing.

A secret is none of them: what stands in a file's field is read by everybody.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tandem.fleet.v1 import plan_pb2 as pb
from tandemkit.core.secret import looks_secret, variable_of
from tandemkit.written.expansion import Meaning, Otherwise, Unexpandable, expanded

_ORIGIN = pb.VariableOrigin
_PLAIN = (True, False)
_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


@dataclass(frozen=True, slots=True)
class Use:
    """One variable in one place. `at` counts the characters from the file's start."""

    name: str
    value: str
    origin: pb.VariableOrigin.ValueType
    path: str
    line: int
    column: int
    at: int

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass
class Variables:
    """What files may name: the environment of whoever reads them, and behind it a file of theirs.
    `secrets` are names of secrets, which are refused, as is what is called like one. The default
    knows no variable.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    file: Mapping[str, str] = field(default_factory=dict)
    secrets: Collection[str] = ()
    uses: list[Use] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._secret = frozenset(map(variable_of, self.secrets))

    def expand(self, root: yaml.Node, path: str) -> Iterator[tuple[yaml.Mark, str]]:
        """Puts into the values below `root`, which is a file's, what they name; keys stay as they
        are. Yields what cannot be put in, and where.
        """
        seen: set[int] = set()
        nodes = [root]
        while nodes:
            node = nodes.pop()
            # An anchored node is one object wherever an alias names it.
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, yaml.MappingNode):
                nodes += [value for _key, value in reversed(node.value)]
            elif isinstance(node, yaml.SequenceNode):
                nodes += reversed(node.value)
            elif isinstance(node, yaml.ScalarNode) and "$" in node.value:
                try:
                    self._put_in(node, path)
                except Unexpandable as error:
                    yield node.start_mark, error.message

    def _put_in(self, node: yaml.ScalarNode, path: str) -> None:
        node.value = expanded(node.value, self._meaning(path, node.start_mark))
        if node.style is None:
            # What was not quoted is a number if it looks like one now.
            loader: Any = yaml.SafeLoader("")
            node.tag = loader.resolve(yaml.ScalarNode, node.value, _PLAIN)

    def _meaning(self, path: str, mark: yaml.Mark) -> Meaning:
        def meant(name: str, otherwise: Otherwise | None) -> str:
            value, origin = self._found(name, otherwise)
            shown = "" if origin == _ORIGIN.VARIABLE_ORIGIN_DEFAULT else value
            place = (path, mark.line + 1, mark.column + 1, mark.index)
            self.uses.append(Use(name, shown, origin, *place))
            return value

        return meant

    def _found(
        self, name: str, otherwise: Otherwise | None
    ) -> tuple[str, pb.VariableOrigin.ValueType]:
        if name in self._secret or looks_secret(name):
            raise Unexpandable(
                f"`{name}` is a secret, and everybody reads what stands here: name it in `secrets` "
                "of the stanza, and have the agent ask scope.secret"
            )
        known = (
            (self.environment, _ORIGIN.VARIABLE_ORIGIN_ENVIRONMENT),
            (self.file, _ORIGIN.VARIABLE_ORIGIN_FILE),
        )
        for variables, origin in known:
            value = variables.get(name)
            # As in a shell, an empty one gives way to a default.
            if value is not None and (value or otherwise is None):
                if _PASSWORD.search(value):
                    raise Unexpandable(
                        f"`{name}` holds an address with a password in it, and everybody reads "
                        "what stands here: keep the password apart, as a secret"
                    )
                return value, origin
        if otherwise is not None:
            return otherwise(), _ORIGIN.VARIABLE_ORIGIN_DEFAULT
        return "", _ORIGIN.VARIABLE_ORIGIN_MISSING
