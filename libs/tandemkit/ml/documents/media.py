"""What a file is, by its name and its first bytes, where nobody says."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from tandemkit.ml.documents.document import Cause, DocumentFailure

MARKDOWN = "text/markdown"
PLAIN = "text/plain"
HTML = "text/html"
PDF = "application/pdf"
PYTHON = "text/x-python"
PROTO = "text/x-protobuf"
CSV = "text/csv"
CODE = "text/x-"
# Of these there is a grammar: the module, and the function in it.
GRAMMARS = {
    "text/x-go": ("tree_sitter_go", "language"),
    "text/x-javascript": ("tree_sitter_javascript", "language"),
    "text/x-typescript": ("tree_sitter_typescript", "language_typescript"),
    "text/x-tsx": ("tree_sitter_typescript", "language_tsx"),
    "text/x-java": ("tree_sitter_java", "language"),
    "text/x-rust": ("tree_sitter_rust", "language"),
    "text/x-c": ("tree_sitter_c", "language"),
}

_BY_SUFFIX = {
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".txt": PLAIN,
    ".text": PLAIN,
    ".rst": PLAIN,
    ".log": PLAIN,
    ".csv": CSV,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".pdf": PDF,
    ".py": PYTHON,
    ".pyi": PYTHON,
    ".proto": PROTO,
    ".go": "text/x-go",
    ".js": "text/x-javascript",
    ".mjs": "text/x-javascript",
    ".cjs": "text/x-javascript",
    ".jsx": "text/x-javascript",
    ".ts": "text/x-typescript",
    ".mts": "text/x-typescript",
    ".tsx": "text/x-tsx",
    ".java": "text/x-java",
    ".rs": "text/x-rust",
    ".c": "text/x-c",
    ".h": "text/x-c",
    ".cc": "text/x-c++",
    ".cpp": "text/x-c++",
    ".hpp": "text/x-c++",
    ".cs": "text/x-csharp",
    ".rb": "text/x-ruby",
    ".sh": "text/x-sh",
    ".sql": "text/x-sql",
    ".kt": "text/x-kotlin",
    ".swift": "text/x-swift",
    ".lua": "text/x-lua",
    ".toml": "text/x-toml",
    ".yaml": "text/x-yaml",
    ".yml": "text/x-yaml",
    ".json": "text/x-json",
    ".ini": "text/x-ini",
    ".css": "text/x-css",
}
# What others call the same.
_ALSO = {
    "application/xhtml+xml": HTML,
    "text/x-markdown": MARKDOWN,
    "application/json": "text/x-json",
    "application/yaml": "text/x-yaml",
    "application/javascript": "text/x-javascript",
    "text/javascript": "text/x-javascript",
    "text/python": PYTHON,
    "application/x-python": PYTHON,
    "application/toml": "text/x-toml",
}
# These say nothing: whoever sends them did not look.
_SILENT = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_HTML_START = re.compile(
    rb"\s*(?:<!--(?>.*?-->)\s*)*+<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_PDF_START_BYTES_MAX = 1024  # a reader has to look this far for the mark
# Formats that are no text and that we do not read, so that the refusal can name them.
_MAGIC = (
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old office document"),
)


def media_type(content: bytes, told: str, uri: str) -> str:
    """One of the types that are read here. What was told wins, then the name, then the content."""
    plain = _ALSO.get(essence := told.partition(";")[0].strip().lower(), essence)
    if plain not in _SILENT:
        return _known(plain)
    by_content = _by_content(content)
    by_name = _BY_SUFFIX.get(PurePosixPath(file_name(uri)).suffix.lower())
    if by_content == PDF:
        return PDF
    return by_name or by_content


def charset(told: str) -> str:
    """The `charset` parameter of a media type, or nothing."""
    found = re.search(r";\s*charset\s*=\s*\"?([\w.:-]{1,40})", told[:200], re.IGNORECASE)
    return found[1].lower() if found else ""


def file_name(uri: str) -> str:
    """The last part of a path or an address."""
    path = uri
    if "://" in uri:
        try:
            path = unquote(urlsplit(uri).path)
        except ValueError:
            path = uri
    return path.rstrip("/").rpartition("/")[2]


def _known(plain: str) -> str:
    if plain == PDF or plain.startswith("text/"):
        return plain
    raise DocumentFailure(
        Cause.UNKNOWN_TYPE,
        "files of this media type are not read; send text, Markdown, HTML, PDF or source code",
        media_type=plain[:100],
    )


def _by_content(content: bytes) -> str:
    if b"%PDF-" in content[:_PDF_START_BYTES_MAX]:
        return PDF
    for mark, what in _MAGIC:
        if content.startswith(mark):
            raise DocumentFailure(
                Cause.UNKNOWN_TYPE,
                "files of this form are not read; extract their text first",
                form=what,
            )
    if _HTML_START.match(content[:4096]):
        return HTML
    return PLAIN
