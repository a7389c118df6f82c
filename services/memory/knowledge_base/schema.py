"""What the knowledge base keeps, in one SQLite file; vectors lie in the store beside it.

`words` finds passages by their words. It keeps none of their text: whoever deletes a passage tells
it what it was.
"""

from __future__ import annotations

from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS spaces (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE IF NOT EXISTS documents (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    space INTEGER NOT NULL REFERENCES spaces (key),
    id TEXT NOT NULL,
    title TEXT NOT NULL,
    uri TEXT NOT NULL,
    media_type TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    form TEXT NOT NULL,
    folder TEXT NOT NULL,
    path TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    chars INTEGER NOT NULL,
    labels BLOB NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (space, id)
) STRICT;
CREATE INDEX IF NOT EXISTS documents_by_folder ON documents (space, folder, path)
    WHERE folder <> '';
CREATE TABLE IF NOT EXISTS document_subjects (
    document INTEGER NOT NULL REFERENCES documents (key),
    folded TEXT NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (document, folded)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS documents_by_subject ON document_subjects (folded, document);
CREATE TABLE IF NOT EXISTS passages (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES documents (key),
    space INTEGER NOT NULL REFERENCES spaces (key),
    start_char INTEGER NOT NULL,
    end_char INTEGER NOT NULL,
    page INTEGER NOT NULL,
    hash TEXT NOT NULL,
    is_embedded INTEGER NOT NULL DEFAULT 0,
    title TEXT NOT NULL,
    headings TEXT NOT NULL,
    context TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS passages_by_place ON passages (document, start_char);
CREATE INDEX IF NOT EXISTS passages_pending ON passages (space, key) WHERE is_embedded = 0;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
    space, title, headings, body, content='', tokenize='porter unicode61 remove_diacritics 2'
);
CREATE TABLE IF NOT EXISTS facts (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    space INTEGER NOT NULL REFERENCES spaces (key),
    passage INTEGER NOT NULL REFERENCES passages (key),
    subject TEXT NOT NULL,
    predicate TEXT NOT NULL,
    object TEXT NOT NULL,
    subject_folded TEXT NOT NULL,
    object_folded TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS facts_by_subject ON facts (space, subject_folded);
CREATE INDEX IF NOT EXISTS facts_by_object ON facts (space, object_folded);
CREATE INDEX IF NOT EXISTS facts_by_passage ON facts (passage);
CREATE TABLE IF NOT EXISTS stale_vectors (
    passage INTEGER PRIMARY KEY
) STRICT;
CREATE TABLE IF NOT EXISTS ingests (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    space INTEGER NOT NULL REFERENCES spaces (key),
    id TEXT NOT NULL,
    digest TEXT NOT NULL,
    state INTEGER NOT NULL,
    folder TEXT NOT NULL,
    patterns TEXT NOT NULL,
    subjects TEXT NOT NULL,
    is_listed INTEGER NOT NULL DEFAULT 0,
    documents INTEGER NOT NULL DEFAULT 0,
    added INTEGER NOT NULL DEFAULT 0,
    changed INTEGER NOT NULL DEFAULT 0,
    unchanged INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    passages_added INTEGER NOT NULL DEFAULT 0,
    passages_kept INTEGER NOT NULL DEFAULT 0,
    created_us INTEGER NOT NULL,
    ended_us INTEGER NOT NULL DEFAULT 0,
    UNIQUE (space, id)
) STRICT;
CREATE INDEX IF NOT EXISTS ingests_by_state ON ingests (state);
CREATE TABLE IF NOT EXISTS ingest_items (
    ingest INTEGER NOT NULL REFERENCES ingests (key),
    number INTEGER NOT NULL,
    document TEXT NOT NULL,
    uri TEXT NOT NULL,
    path TEXT NOT NULL,
    media_type TEXT NOT NULL,
    subjects TEXT NOT NULL,
    is_done INTEGER NOT NULL DEFAULT 0,
    fault INTEGER NOT NULL DEFAULT 0,
    labels BLOB NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (ingest, number)
) STRICT;
CREATE INDEX IF NOT EXISTS ingest_items_open ON ingest_items (ingest, number) WHERE is_done = 0;
CREATE TABLE IF NOT EXISTS settled (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""
