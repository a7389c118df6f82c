"""Paths of `google.api.http`: `/v1/{name=documents/*}:publish` and what a request's path says by
one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.api import annotations_pb2, http_pb2

from services.gateway.http.directory import Service
from tandemkit.rpc.contract import Method

_VARIABLE: Final = re.compile(r"\{([\w.]+)(?:=([^{}]+))?\}")
_WILD: Final = {"**": ".+", "*": "[^/]+"}
_VERBS: Final = ("get", "put", "post", "delete", "patch")


@dataclass(frozen=True)
class Binding:
    """One way to ask for a method: `body` is the field that the body fills, `*` for all that the
    path does not, and empty for none; `answer` is the field of the response that is sent, if not
    all of it.
    """

    verb: str
    template: str
    method: Method
    body: str
    answer: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """Its groups are the variables in their order."""
        return re.compile(_pattern(self.template))

    @property
    def variables(self) -> list[str]:
        return [match[1] for match in _VARIABLE.finditer(self.template)]


class Bindings:
    """Those of all agents, as of one moment."""

    def __init__(self, services: tuple[Service, ...]) -> None:
        self._ways = [
            (one, one.pattern, one.variables) for service in services for one in bindings(service)
        ]

    def find(self, verb: str, path: str) -> tuple[Binding, Mapping[str, str]] | list[str]:
        """Which is meant, and what the path says; else the verbs that the path takes, if any."""
        others: list[str] = []
        for binding, pattern, variables in self._ways:
            match = pattern.fullmatch(path)
            if match is not None:
                if binding.verb == verb:
                    return binding, dict(zip(variables, match.groups(), strict=True))
                others.append(binding.verb)
        return others


def bindings(service: Service) -> Iterator[Binding]:
    """What the contract says, in its order."""
    for described in service.descriptor.methods:
        said: Any = described.GetOptions()
        if said.HasExtension(annotations_pb2.http):
            rule = said.Extensions[annotations_pb2.http]
            for one in (rule, *rule.additional_bindings):
                yield from _binding(one, service.methods[described.name])


def _binding(rule: http_pb2.HttpRule, method: Method) -> Iterator[Binding]:
    kind = rule.WhichOneof("pattern")
    if kind in _VERBS:
        yield Binding(kind.upper(), getattr(rule, kind), method, rule.body, rule.response_body)
    elif kind == "custom":
        custom = rule.custom
        yield Binding(custom.kind.upper(), custom.path, method, rule.body, rule.response_body)


def _pattern(template: str) -> str:
    found, at = "", 0
    for match in _VARIABLE.finditer(template):
        found += _literal(template[at : match.start()]) + f"({_literal(match[2] or '*')})"
        at = match.end()
    return found + _literal(template[at:])


def _literal(part: str) -> str:
    return "".join(_WILD.get(one) or re.escape(one) for one in re.split(r"(\*\*|\*)", part))
