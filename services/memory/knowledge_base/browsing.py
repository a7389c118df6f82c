"""Pages of what there is, as functions of one transaction."""

from __future__ import annotations

import sqlite3
from typing import Final

from services.memory.knowledge_base import graph, ledger, names, refusal
from services.memory.knowledge_base.desk import message
from services.memory.knowledge_base.library import pending_in, space_of
from services.memory.knowledge_base.subjects import document_message
from tandem.memory.v1 import document_pb2 as nouns
from tandem.memory.v1 import knowledge_base_service_pb2 as pb
from tandemkit.rpc.paging import fitting_page
from tandemkit.storage.subjects import folded

_LISTED = "SELECT key, id FROM documents WHERE space = ? AND id > ?"
_ABOUT = "AND key IN (SELECT document FROM document_subjects WHERE folded = ?)"
_DOCUMENTS, _DOCUMENTS_MAX = 100, 1000
_INGESTS, _INGESTS_MAX = 50, 500
_FACTS, _FACTS_MAX = 100, 1000
TEXT_CHARS_MAX: Final = 200_000
_NEWEST: Final = 1 << 62


def document(
    database: sqlite3.Connection, request: pb.GetDocumentRequest
) -> pb.GetDocumentResponse:
    said = names.Name.parsed(request.name)
    space = space_of(database, said.namespace)
    chosen = "SELECT key FROM documents WHERE space = ? AND id = ?"
    row = database.execute(chosen, (space, said.id)).fetchone()
    found = document_message(database, said.namespace, row[0]) if row else None
    if found is None:
        raise refusal.no_document(request.name)
    limit = min(request.chars_max or TEXT_CHARS_MAX, TEXT_CHARS_MAX)
    text = text_of(database, row[0])[request.start_char : request.start_char + limit]
    after = request.start_char + len(text)
    return pb.GetDocumentResponse(
        document=found, text=text, next_char=after if text and after < found.chars else 0
    )


def documents(
    database: sqlite3.Connection, request: pb.ListDocumentsRequest
) -> pb.ListDocumentsResponse:
    namespace = names.namespace_of(request.namespace)
    about = folded(request.subject)
    scope = f"documents:{namespace}:{about}"
    after = refusal.page_start(request.page_token, scope)
    size = min(request.page_size or _DOCUMENTS, _DOCUMENTS_MAX)
    space = space_of(database, namespace)
    only = _ABOUT if about else ""
    values = (space, after, *((about,) if about else ()), size + 1)
    chosen = f"{_LISTED} {only} ORDER BY id LIMIT ?"
    rows = database.execute(chosen, values).fetchall()
    page = [(name, document_message(database, namespace, key)) for key, name in rows[:size]]
    found = [(name, one) for name, one in page if one is not None]
    told, token = fitting_page(found, rows[size - 1][1] if len(rows) > size else "", scope)
    return pb.ListDocumentsResponse(
        documents=told, next_page_token=token, pending=pending_in(database, space)
    )


def ingests(database: sqlite3.Connection, request: pb.ListIngestsRequest) -> pb.ListIngestsResponse:
    namespace = names.namespace_of(request.namespace)
    scope = f"ingests:{namespace}"
    before = int(refusal.page_start(request.page_token, scope) or _NEWEST)
    size = min(request.page_size or _INGESTS, _INGESTS_MAX)
    space = space_of(database, namespace)
    found = ledger.page(database, space, before, size + 1)
    pending = pending_in(database, space)
    last = str(found[size - 1].key) if len(found) > size else ""
    page = [(str(one.key), message(one, namespace, pending)) for one in found[:size]]
    told, token = fitting_page(page, last, scope)
    return pb.ListIngestsResponse(ingests=told, next_page_token=token)


def facts(database: sqlite3.Connection, request: pb.ListFactsRequest) -> pb.ListFactsResponse:
    namespace = names.namespace_of(request.namespace)
    asked = graph.Asked(request.subject, request.predicate, request.object)
    scope = f"facts:{namespace}:{asked}"
    after = int(refusal.page_start(request.page_token, scope) or 0)
    size = min(request.page_size or _FACTS, _FACTS_MAX)
    found = graph.page(database, space_of(database, namespace), asked, after, size + 1)
    last = str(found[size - 1].key) if len(found) > size else ""
    page = [(str(one.key), fact_message(one, namespace)) for one in found[:size]]
    told, token = fitting_page(page, last, scope)
    return pb.ListFactsResponse(facts=told, next_page_token=token)


def fact_message(one: graph.Fact, namespace: str) -> nouns.KnowledgeFact:
    return nouns.KnowledgeFact(
        subject=one.subject,
        predicate=one.predicate,
        object=one.object,
        passage=names.passage_name(namespace, one.document, one.passage),
    )


def text_of(database: sqlite3.Connection, key: int) -> str:
    (text,) = database.execute("SELECT text FROM documents WHERE key = ?", (key,)).fetchone()
    return str(text)
