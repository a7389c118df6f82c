"""Names of what the knowledge base keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tandemkit.storage.subjects import DEFAULT_NAMESPACE

# The platform's own documents.
OWN_NAMESPACE: Final = "tandem-docs"
# Theirs, and not one that anybody could name: what it has comes with the ingest.
OWN_FOLDER: Final = "tandem:docs"
_NAME = re.compile(r"namespaces/(?P<namespace>[^/]+)/(?P<kind>[a-z]+)/(?P<id>[^/]+)")


@dataclass(frozen=True, slots=True)
class Name:
    """Of a document or an ingest."""

    namespace: str
    id: str

    @classmethod
    def parsed(cls, name: str) -> Name:
        """Of what the contract let through."""
        found = _NAME.fullmatch(name)
        assert found is not None, "the contract has a pattern for names"
        return cls(found["namespace"], found["id"])


def namespace_of(said: str) -> str:
    return said or DEFAULT_NAMESPACE


def document_name(namespace: str, document: str) -> str:
    return f"namespaces/{namespace}/documents/{document}"


def passage_name(namespace: str, document: str, key: int) -> str:
    return f"{document_name(namespace, document)}/passages/{key}"


def ingest_name(namespace: str, ingest: str) -> str:
    return f"namespaces/{namespace}/ingests/{ingest}"
