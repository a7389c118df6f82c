"""Where a memory is: its name to callers, and the keys of the store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from tandem.memory.v1 import memory_pb2 as nouns
from tandemkit.storage.subjects import DEFAULT_NAMESPACE, folded

MEMORIES: Final = "m/"
DELETED: Final = "d/"
_FACTS, _TURNS = "f/", "x/"


@dataclass(frozen=True, slots=True)
class Place:
    namespace: str
    id: str

    @classmethod
    def of(cls, name: str) -> Place:
        """`namespaces/{namespace}/memories/{id}`, which the contract has checked."""
        _, namespace, _, memory_id = name.split("/")
        return cls(namespace, memory_id)

    @classmethod
    def at(cls, key: str) -> Place | None:
        """Whose record has that key; None where it is no record's."""
        if not key.startswith(MEMORIES):
            return None
        _, namespace, memory_id = key.split("/")
        return cls(namespace, memory_id)

    @property
    def name(self) -> str:
        return f"namespaces/{self.namespace}/memories/{self.id}"

    @property
    def key(self) -> str:
        return f"{beginning(self.namespace)}{self.id}"

    @property
    def deleted_key(self) -> str:
        """Under which its deletion is noted, without its id."""
        return f"{DELETED}{hashlib.sha256(self.name.encode()).hexdigest()[:32]}"

    def fact_key(self, fact: nouns.Fact) -> str:
        return f"{facts_beginning(self.namespace, fact.subject, fact.predicate)}{self.id}"


def namespace_of(said: str) -> str:
    return said or DEFAULT_NAMESPACE


def beginning(namespace: str) -> str:
    """Of the keys of all its memories."""
    return f"{MEMORIES}{namespace}/"


def facts_beginning(namespace: str, subject: str, predicate: str = "") -> str:
    """Of the keys that list facts; of all predicates where it is empty."""
    part = f"{_FACTS}{namespace}/{_short(subject)}/"
    return f"{part}{_short(predicate)}/" if predicate else part


def turn_key(namespace: str, fact: nouns.Fact) -> str:
    """Writers of one functional fact take turns by its version."""
    return f"{_TURNS}{namespace}/{_short(fact.subject)}/{_short(fact.predicate)}"


def _short(text: str) -> str:
    return hashlib.blake2b(folded(text).encode(), digest_size=8).hexdigest()
