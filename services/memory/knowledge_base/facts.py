"""What passages say, by rules and without a model: triples that whoever reads the passage can
check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tandemkit.ml.documents.chunking import Chunk
from tandemkit.ml.documents.document import Document
from tandemkit.ml.text.sentences import sentences

IS_A, PART_OF, LINKS_TO = "is a", "part of", "links to"
DEFINES, IMPORTS = "defines", "imports"
NAME_CHARS_MAX: Final = 400
FACTS_MAX: Final = 60
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]\n]+)\]\((?P<target>[^()\s]+)(?:\s+\"[^\"]*\")?\)")
_MARKUP = re.compile(r"[`*_]+")
# "A pool is a set of slots": a short name, and what it is up to the end of the clause.
_DEFINITION = re.compile(
    r"^(?:(?:a|an|the)\s+)?(?P<name>[\w`*./:-]+(?:\s+[\w`*./:-]+){0,4}?)\s+(?:is|are)\s+"
    r"(?:an?|the)\s+(?P<what>[^.;:,(]{3,160})",
    re.IGNORECASE,
)
_NO_NAMES = frozenset(
    [
        "it",
        "this",
        "that",
        "these",
        "those",
        "there",
        "what",
        "which",
        "who",
        "here",
        "he",
        "she",
        "they",
        "we",
        "you",
        "i",
        "one",
        "each",
        "such",
        "if",
        "so",
        "then",
        "when",
        "where",
        "both",
        "neither",
        "all",
        "some",
        "any",
        "none",
        "nothing",
        "everything",
        "anything",
    ]
)
# One line of code that makes a name, in languages that people write here.
_SYMBOL = re.compile(
    r"^\s*(?:export\s+)?(?:pub\s+)?(?:async\s+)?"
    r"(?:def|class|func|fn|function|interface|struct|enum|trait|message|service|rpc|type)\s+"
    r"(?:\([^)]*\)\s*)?(?P<name>[A-Za-z_]\w*)",
    re.MULTILINE,
)
_IMPORT = re.compile(
    r"^\s*(?:from\s+(?P<of>[\w.]+)\s+import\b|import\s+(?:\w+\s+from\s+)?[\"']?(?P<what>[\w./@-]+))",
    re.MULTILINE,
)
_CODE = "text/x-"


@dataclass(frozen=True, slots=True)
class Triple:
    subject: str
    predicate: str
    object: str


def facts_of(document: Document, chunk: Chunk) -> list[Triple]:
    """Each once, FACTS_MAX at most."""
    found: dict[Triple, None] = {}
    for one in _found(document, chunk):
        if one.subject and one.object and folded_name(one.subject) != folded_name(one.object):
            found[one] = None
        if len(found) == FACTS_MAX:
            break
    return list(found)


def folded_name(name: str) -> str:
    """What spellings of one thing have in common."""
    plain = _MARKUP.sub(lambda found: "_" if found.group() == "_" else "", name)
    return " ".join(plain.casefold().split())


def _found(document: Document, chunk: Chunk) -> Iterator[Triple]:
    path = [one for one in dict.fromkeys((document.title, *chunk.headings)) if one]
    for above, below in pairwise(path):
        yield _triple(below, PART_OF, above)
    about = path[-1] if path else ""
    if document.media_type.startswith(_CODE):
        yield from _of_code(chunk.text, document.title)
        return
    for link in _LINK.finditer(chunk.text):
        yield _triple(about, LINKS_TO, link["target"].partition("#")[0])
    for sentence in sentences(_LINK.sub(lambda found: found["text"], chunk.text)):
        yield from _defined(sentence)


def _of_code(text: str, title: str) -> Iterator[Triple]:
    for symbol in _SYMBOL.finditer(text):
        yield _triple(title, DEFINES, symbol["name"])
    for said in _IMPORT.finditer(text):
        yield _triple(title, IMPORTS, said["of"] or said["what"])


def _defined(sentence: str) -> Iterator[Triple]:
    said = _DEFINITION.match(sentence)
    if said is None:
        return
    name = said["name"].strip("`*_ ")
    if name.split()[0].casefold() not in _NO_NAMES:
        yield _triple(name, IS_A, said["what"])


def _triple(subject: str, predicate: str, thing: str) -> Triple:
    return Triple(_clean(subject), predicate, _clean(thing))


def _clean(text: str) -> str:
    return " ".join(text.replace("`", "").replace("**", "").split())[:NAME_CHARS_MAX]
